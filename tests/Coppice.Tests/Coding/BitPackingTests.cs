using Coppice.Coding;

namespace Coppice.Tests.Coding;

public class BitPackingTests
{
    [Fact]
    public void Four_bit_codes_fill_a_word_from_its_low_end()
    {
        uint[] words = new uint[2];
        BitPacking.Pack([1, 2, 3, 4, 5, 6, 7, 8, 9], 4, words);
        Assert.Equal([0x87654321u, 9u], words);
    }

    [Theory]
    [InlineData(1), InlineData(2), InlineData(3), InlineData(4), InlineData(5), InlineData(6), InlineData(7), InlineData(8)]
    public void Codes_are_a_stream_of_bits_at_any_length(int bits)
    {
        for (int count = 0; count < 70; count++)
        {
            Random random = new(count);
            byte[] codes = [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(1 << bits))], back = new byte[count];
            uint[] words = new uint[BitPacking.Words(count, bits)];
            BitPacking.Pack(codes, bits, words);
            for (int bit = 0; bit < 32 * words.Length; bit++)
                Assert.Equal(bit < count * bits ? codes[bit / bits] >> bit % bits & 1 : 0, (int)(words[bit / 32] >> bit % 32 & 1));
            BitPacking.Unpack(words, bits, back);
            Assert.Equal(codes, back);
        }
    }

    [Theory]
    [InlineData(1), InlineData(8), InlineData(17), InlineData(19), InlineData(31), InlineData(32)]
    public void Codes_of_up_to_32_bits_are_a_stream_of_bits_too(int bits)
    {
        for (int count = 0; count < 70; count++)
        {
            Random random = new(count);
            uint[] codes = [.. Enumerable.Range(0, count).Select(_ => (uint)random.NextInt64(1L << bits))], back = new uint[count], words = new uint[BitPacking.Words(count, bits)];
            BitPacking.Pack(codes, bits, words);
            for (int bit = 0; bit < 32 * words.Length; bit++)
                Assert.Equal(bit < count * bits ? codes[bit / bits] >> bit % bits & 1 : 0, words[bit / 32] >> bit % 32 & 1);
            BitPacking.Unpack(words, bits, back);
            Assert.Equal(codes, back);
        }
    }
}

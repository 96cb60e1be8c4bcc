using Coppice.Federation.Secure;

namespace Coppice.Tests.Federation.Secure;

public class MasksTests
{
    static readonly byte[] Key = [.. Enumerable.Range(0, 32).Select(i => (byte)(3 * i))];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(16_384)]
    [InlineData(40_001)]
    public void A_mask_is_the_stream_number_by_number_and_goes_off_again(int length)
    {
        uint[] vector = [.. Enumerable.Range(0, length).Select(i => (uint)i * 77)], masked = [.. vector];
        byte[] stream = new byte[4 * length];
        using AesCtr ctr = new(Key);
        ctr.Fill(stream);

        Masks.Apply(Key, MaskSign.Plus, masked);
        Assert.All(Enumerable.Range(0, length), i => Assert.Equal(unchecked(vector[i] + BitConverter.ToUInt32(stream, 4 * i)), masked[i]));
        Masks.Apply(Key, MaskSign.Minus, masked);
        Assert.Equal(vector, masked);
    }

    [Fact]
    public void Two_clients_give_a_mask_opposite_signs()
    {
        Assert.Equal(MaskSign.Plus, Masks.Between(2, 3));
        Assert.Equal(MaskSign.Minus, Masks.Between(3, 2));
        Assert.Equal(MaskSign.Minus, Masks.Opposite(MaskSign.Plus));
        Assert.Equal(MaskSign.Plus, Masks.Opposite(MaskSign.Minus));
    }

    [Fact]
    public void Keys_of_full_width_count()
    {
        // Every byte of the key changes the mask: no seed is cut to 32 bits.
        uint[] mask = new uint[8];
        Masks.Apply(Key, MaskSign.Plus, mask);
        for (int i = 0; i < Key.Length; i++)
        {
            byte[] key = [.. Key];
            key[i] ^= 0x80;
            uint[] other = new uint[8];
            Masks.Apply(key, MaskSign.Plus, other);
            Assert.NotEqual(mask, other);
        }
    }
}

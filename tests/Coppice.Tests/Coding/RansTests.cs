using Coppice.Coding;
using Coppice.Tensors;

namespace Coppice.Tests.Coding;

public class RansTests
{
    [Theory]
    [InlineData(2, 0.5, 100_000)]
    [InlineData(2, 0.99, 500_000)]
    [InlineData(2, 0.9995, 5_000_000)]
    [InlineData(15, 0.6, 100_000)]
    [InlineData(256, 0.05, 200_000)]
    public void A_skewed_source_takes_within_one_per_cent_of_its_entropy(int alphabet, double stop, int length)
    {
        byte[] symbols = Geometric(alphabet, stop, length, seed: 1);
        double bits = 8.0 * Encode(symbols).Length;
        Assert.InRange(bits / (length * Entropy(symbols)), 0.99, 1.01);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(100)]
    [InlineData(70_001)]
    public void Every_byte_comes_back(int length)
    {
        Random random = new(length);
        foreach (int alphabet in new[] { 1, 2, 3, 17, 256 })
        {
            byte[] symbols = new byte[length];
            for (int i = 0; i < length; i++)
                symbols[i] = (byte)(255 - random.Next(alphabet));
            Assert.Equal(symbols, Decode(Encode(symbols), length));
        }
    }

    [Fact]
    public void Known_answers()
    {
        // One symbol has the whole share: no word, and the state never moves. Table: 1 symbol, distance 7, share 65,536 less one as a varint of three bytes.
        Assert.Equal([1, 7, 0xFF, 0xFF, 0x03, 0, 0, 0, 0, 0x80, 0, 0, 0, 0], Encode([7, 7, 7, 7, 7]));
        // 0 then 1 at a half each. Backwards from 2^31: 1 gives 2^31 / 2^15 * 2^16 + 2^15 = 2^32 + 2^15, 0 gives 2^33 + 2^15 mod 2^15 + (2^15 / 2^15) 2^16 = 2^33 + 2^16.
        Assert.Equal([2, 0, 0xFF, 0xFF, 0x01, 0, 0xFF, 0xFF, 0x01, 0, 0, 0, 1, 0, 2, 0, 0, 0], Encode([0, 1]));
        Assert.Empty(Encode([]));
    }

    [Fact]
    public void Whatever_bytes_arrive_exactly_the_symbols_asked_for_come_or_one_clear_error()
    {
        byte[] honest = Encode(Geometric(20, 0.3, 500, seed: 2));
        Random random = new(3);
        int refused = 0;
        for (int attempt = 0; attempt < 4000; attempt++)
        {
            byte[] bytes = attempt % 3 == 0 ? honest[..random.Next(honest.Length)] : [.. honest];
            for (int flips = random.Next(1, 5); flips > 0 && bytes.Length > 0; flips--)
                bytes[random.Next(attempt % 2 == 0 ? bytes.Length : Math.Min(40, bytes.Length))] = (byte)random.Next(256);
            try
            {
                Decode(bytes, 500);
            }
            catch (CoppiceException error)
            {
                refused++;
                Assert.StartsWith("test: ", error.Message, StringComparison.Ordinal);
            }
        }
        Assert.True(refused > 3500, $"{refused} refused");
    }

    [Theory]
    [InlineData("shares of", 1, 0, 5)]
    [InlineData("a number of symbols is 300", 0xAC, 2)]
    [InlineData("symbol 256", 2, 0xFF, 1, 0, 0)]
    [InlineData("a number of words is 100", 1, 7, 0xFF, 0xFF, 3, 100)]
    [InlineData("impossible state", 1, 7, 0xFF, 0xFF, 3, 0, 1, 2, 3, 4, 5, 6, 7, 0xFF)]
    [InlineData("ends within a state", 1, 7, 0xFF, 0xFF, 3, 0, 1, 2)]
    [InlineData("does not end where it began", 1, 7, 0xFF, 0xFF, 3, 0, 1, 0, 0, 0x80, 0, 0, 0, 0)]
    [InlineData("more than five bytes", 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)]
    public void A_damaged_block_is_refused_with_its_reason(string reason, params int[] bytes) =>
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => Decode([.. bytes.Select(value => (byte)value)], 5)).Message, StringComparison.Ordinal);

    [Fact]
    public void Gaps_of_chance_take_within_one_per_cent_of_their_entropy_and_come_back()
    {
        foreach (double share in new[] { 0.3, 0.01, 0.0005 })
        {
            Random random = new(5);
            int[] gaps = new int[100_000];
            for (int i = 0; i < gaps.Length; i++)
                gaps[i] = (int)(Math.Log(1 - random.NextDouble()) / Math.Log(1 - share));
            ByteWriter writer = new();
            Gaps.Write(writer, gaps);
            byte[] code = writer.ToArray();
            int[] read = new int[gaps.Length];
            ByteReader reader = new("test", code);
            Gaps.Read(ref reader, read);
            reader.End();
            Assert.Equal(gaps, read);
            // Of a geometric distribution: H(share) / share bits.
            double entropy = -(share * Math.Log2(share) + (1 - share) * Math.Log2(1 - share)) / share;
            Assert.InRange(8.0 * code.Length / gaps.Length / entropy, 0.99, 1.01);
        }
    }

    [Fact]
    public void Numbers_of_every_size_come_back_as_gaps()
    {
        int[] numbers = [0, 1, 7, 8, 9, 15, 16, .. Enumerable.Range(5, 25).SelectMany(bit => new[] { (1 << bit) - 1, 1 << bit, (1 << bit) + 1 }), int.MaxValue];
        ByteWriter writer = new();
        Gaps.Write(writer, numbers);
        ByteReader reader = new("test", writer.ToArray());
        int[] read = new int[numbers.Length];
        Gaps.Read(ref reader, read);
        Assert.Equal(numbers, read);
    }

    static byte[] Encode(byte[] symbols)
    {
        ByteWriter writer = new();
        Rans.Write(writer, symbols);
        return writer.ToArray();
    }

    static byte[] Decode(byte[] block, int length)
    {
        byte[] symbols = new byte[length];
        ByteReader reader = new("test", block);
        Rans.Read(ref reader, symbols);
        reader.End();
        return symbols;
    }

    // Symbol s with probability stop (1 - stop)^s, the last taking what is left.
    static byte[] Geometric(int alphabet, double stop, int length, int seed)
    {
        Random random = new(seed);
        byte[] symbols = new byte[length];
        for (int i = 0; i < length; i++)
            while (symbols[i] < alphabet - 1 && random.NextDouble() >= stop)
                symbols[i]++;
        return symbols;
    }

    static double Entropy(byte[] symbols) => symbols.CountBy(symbol => symbol).Sum(part => -(double)part.Value / symbols.Length * Math.Log2((double)part.Value / symbols.Length));
}

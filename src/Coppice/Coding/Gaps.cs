using System.Numerics;

namespace Coppice.Coding;

/// <summary>
/// Whole numbers of any size, small ones more often: numbers below 8 are symbols of their own, above that a symbol says where the highest bit is and what the two below it are, and the others
/// follow as they are. The symbols are entropy coded. Numbers of a geometric distribution take less than 1% more than their entropy.
/// </summary>
static class Gaps
{
    const int Direct = 8, Kept = 2;

    /// <summary>Appends the numbers, 0 or more each, whose count the reader has to know.</summary>
    public static void Write(ByteWriter writer, ReadOnlySpan<int> numbers)
    {
        byte[] symbols = new byte[numbers.Length];
        ByteWriter low = new();
        ulong buffer = 0;
        int filled = 0;
        for (int i = 0; i < numbers.Length; i++)
        {
            int bits = LowBits(numbers[i]);
            symbols[i] = (byte)(bits < 0 ? numbers[i] : Direct + 4 * (bits - 1) + (numbers[i] >> bits & 3));
            if (bits < 0)
                continue;
            buffer |= (ulong)(uint)(numbers[i] & (1 << bits) - 1) << filled;
            for (filled += bits; filled >= 8; filled -= 8, buffer >>= 8)
                low.Take(1)[0] = (byte)buffer;
        }
        if (filled > 0)
            low.Take(1)[0] = (byte)buffer;
        Rans.Write(writer, symbols);
        writer.Bytes(low.ToArray());
    }

    /// <summary>Reads numbers that are not trusted, as many as <paramref name="numbers"/> holds, 0 to 2^31 - 1 each.</summary>
    public static void Read(ref ByteReader reader, Span<int> numbers)
    {
        byte[] symbols = new byte[numbers.Length];
        Rans.Read(ref reader, symbols);
        long all = 0;
        foreach (byte symbol in symbols)
            all += symbol < Direct ? 0 : BitsOf(symbol);
        ReadOnlySpan<byte> low = reader.Take((int)Math.Min(int.MaxValue, (all + 7) / 8), "the low bits of numbers");
        ulong buffer = 0;
        int filled = 0;
        for (int i = 0; i < numbers.Length; i++)
        {
            if (symbols[i] < Direct)
            {
                numbers[i] = symbols[i];
                continue;
            }
            int bits = BitsOf(symbols[i]);
            if (bits > 30 - Kept)
                throw reader.Error($"a number of {bits + Kept + 1} bits, wanted at most 31");
            for (; filled < bits; filled += 8, low = low[1..])
                buffer |= (ulong)low[0] << filled;
            numbers[i] = (4 | symbols[i] - Direct & 3) << bits | (int)(buffer & (1UL << bits) - 1);
            buffer >>= bits;
            filled -= bits;
        }
    }

    // Bits below the highest and the two kept ones; negative for numbers that are symbols themselves.
    static int LowBits(int number) => number < Direct ? -1 : BitOperations.Log2((uint)number) - Kept;

    static int BitsOf(byte symbol) => (symbol - Direct) / 4 + 1;
}

using System.Numerics;

namespace Coppice.Weights;

/// <summary>Which weights of a matrix are kept: one bit each, rows of whole bytes, least significant bit first.</summary>
static class Bitmask
{
    /// <summary>Bytes of a row.</summary>
    public static int BytesPerRow(int columns) => (columns + 7) / 8;

    /// <summary>How many bits are set.</summary>
    public static int Count(ReadOnlySpan<byte> mask)
    {
        int count = 0;
        foreach (byte bits in mask)
            count += BitOperations.PopCount(bits);
        return count;
    }

    /// <summary>Whether every four neighbours have exactly two bits set; <paramref name="columns"/> is a multiple of 4.</summary>
    public static bool IsTwoOfFour(ReadOnlySpan<byte> mask, int columns)
    {
        if (columns % 4 != 0 || mask.Length % BytesPerRow(columns) != 0)
            return false;
        for (int i = 0; i < mask.Length; i++)
        {
            bool whole = columns % 8 == 0 || (i + 1) % BytesPerRow(columns) != 0;
            if (BitOperations.PopCount(mask[i] & 15u) != 2 || BitOperations.PopCount(mask[i] & 0xF0u) != (whole ? 2 : 0))
                return false;
        }
        return true;
    }

    /// <summary>Puts kept numbers where a row's bits are set and zeros elsewhere.</summary>
    public static void Scatter<T>(ReadOnlySpan<byte> mask, ReadOnlySpan<T> kept, Span<float> row) where T : unmanaged, INumberBase<T>
    {
        row.Clear();
        int next = 0;
        for (int i = 0; i < mask.Length; i++)
            for (uint bits = mask[i]; bits != 0; bits &= bits - 1)
                row[8 * i + BitOperations.TrailingZeroCount(bits)] = float.CreateTruncating(kept[next++]);
    }

    /// <summary>A whole matrix with kept numbers where bits are set and zeros elsewhere.</summary>
    /// <exception cref="ArgumentException">The mask keeps more or fewer numbers than there are, or one past a row's end.</exception>
    public static T[] Expand<T>(ReadOnlySpan<byte> mask, ReadOnlySpan<T> kept, int rows, int columns)
    {
        int bytes = BytesPerRow(columns);
        if (Count(mask) != kept.Length)
            throw new ArgumentException($"Bitmask: {kept.Length} numbers for {Count(mask)} bits of the mask");
        T[] values = new T[rows * columns];
        int next = 0;
        for (int i = 0; i < mask.Length; i++)
            for (uint bits = mask[i]; bits != 0; bits &= bits - 1)
            {
                int column = i % bytes * 8 + BitOperations.TrailingZeroCount(bits);
                if (column >= columns)
                    throw new ArgumentException($"Bitmask: row {i / bytes} of the mask keeps a weight past column {columns}");
                values[i / bytes * columns + column] = kept[next++];
            }
        return values;
    }

    /// <summary>Sets the bits of a row's numbers that are not zero.</summary>
    public static void SetNonZero(ReadOnlySpan<float> row, Span<byte> mask)
    {
        mask.Clear();
        for (int i = 0; i < row.Length; i++)
            if (row[i] != 0)
                mask[i / 8] |= (byte)(1 << i % 8);
    }
}

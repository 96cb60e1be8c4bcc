using System.Numerics;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Masks that keep exactly two of every four neighbouring inputs.</summary>
static class TwoFour
{
    /// <summary>One row of a mask.</summary>
    public static ReadOnlySpan<byte> MaskRow(byte[] mask, int columns, int row) =>
        mask.AsSpan(row * Bitmask.BytesPerRow(columns), Bitmask.BytesPerRow(columns));

    /// <summary>Marks what is not zero and, where that is fewer than two of four, the first of the zeros too.</summary>
    /// <exception cref="CoppiceException">Somewhere more than two of four are not zero, or a row is no multiple of four.</exception>
    public static byte[] Mask(int rows, int columns, ReadOnlySpan<float> values)
    {
        if (columns % 4 != 0)
            throw new CoppiceException($"2:4: a matrix [{rows}, {columns}] has rows of {columns} numbers, wanted a multiple of 4");
        byte[] mask = new byte[rows * Bitmask.BytesPerRow(columns)];
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column += 4)
            {
                ReadOnlySpan<float> four = values.Slice(row * columns + column, 4);
                int bits = 0;
                for (int i = 0; i < 4; i++)
                    bits |= four[i] != 0 ? 1 << i : 0;
                for (int i = 0; BitOperations.PopCount((uint)bits) < 2; i++)
                    bits |= 1 << i;
                if (BitOperations.PopCount((uint)bits) > 2)
                    throw new CoppiceException($"2:4: row {row} has more than two numbers that are not zero in columns {column} to {column + 3}");
                mask[row * Bitmask.BytesPerRow(columns) + column / 8] |= (byte)(bits << column % 8);
            }
        return mask;
    }

    /// <summary>Whether at most two of every four neighbours are not zero.</summary>
    public static bool Fits(int columns, ReadOnlySpan<float> values)
    {
        if (columns % 4 != 0)
            return false;
        for (int i = 0; i < values.Length; i += 4)
            if (values.Slice(i, 4).Count(0f) < 2)
                return false;
        return true;
    }

    /// <summary>What a row's mask keeps, in order. <paramref name="kept"/> may be the start of <paramref name="row"/>.</summary>
    public static void Gather<T>(ReadOnlySpan<byte> mask, ReadOnlySpan<T> row, Span<T> kept)
    {
        int next = 0;
        for (int i = 0; i < mask.Length; i++)
            for (uint bits = mask[i]; bits != 0; bits &= bits - 1)
                kept[next++] = row[8 * i + BitOperations.TrailingZeroCount(bits)];
    }
}

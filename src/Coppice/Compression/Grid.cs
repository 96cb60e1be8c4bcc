using Coppice.Compression.Quantize;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>
/// A matrix on a grid: value = scale * (code - zero), or scale * level[code] where there are <see cref="Levels"/>, with a scale (and a zero point) for each run of <see cref="GroupSize"/> inputs of a row.
/// </summary>
public sealed class Grid : ICodes
{
    /// <summary>As a group size: one group a matrix. It is kept as a scale a row, all of them equal.</summary>
    public const int WholeMatrix = -2;

    /// <summary>A grid for a matrix [rows, columns]; <paramref name="groupSize"/> divides <paramref name="columns"/>, or is <see cref="IntWeight.WholeRow"/> or <see cref="WholeMatrix"/>.</summary>
    public Grid(int rows, int columns, int bits, int groupSize, bool symmetric)
    {
        IsPerMatrix = groupSize == WholeMatrix;
        IsPerRow = IsPerMatrix || groupSize == IntWeight.WholeRow;
        GroupSize = IsPerRow ? columns : groupSize;
        if (GroupSize < 1 || columns % GroupSize != 0)
            throw new ArgumentException($"Grid: groups of {groupSize} for {columns} columns, wanted a divisor");
        (Rows, Columns, Bits, Symmetric) = (rows, columns, bits, symmetric);
        Scales = new Half[rows * Groups];
        Zeros = new byte[rows * Groups];
        Codes = new byte[checked(rows * columns)];
    }

    /// <summary>The same on levels of a table; <paramref name="hasPowerOfTwoScales"/> keeps scales to powers of two.</summary>
    public Grid(int rows, int columns, LevelTable levels, int groupSize, bool hasPowerOfTwoScales = false) : this(rows, columns, levels.Bits, groupSize, symmetric: true) =>
        (Levels, HasPowerOfTwoScales) = (levels, hasPowerOfTwoScales);

    /// <summary>An empty grid of the same kind.</summary>
    public Grid Empty()
    {
        int groupSize = IsPerMatrix ? WholeMatrix : IsPerRow ? IntWeight.WholeRow : GroupSize;
        return Levels is null ? new(Rows, Columns, Bits, groupSize, Symmetric) : new(Rows, Columns, Levels, groupSize, HasPowerOfTwoScales);
    }

    /// <summary>What codes stand for; null where they are whole numbers around a zero point.</summary>
    public LevelTable? Levels { get; }

    /// <summary>Whether scales are powers of two, from 2^-24 to 2^15.</summary>
    public bool HasPowerOfTwoScales { get; }

    /// <summary>Outputs.</summary>
    public int Rows { get; }

    /// <summary>Inputs.</summary>
    public int Columns { get; }

    /// <summary>Bits a code, 1 to 8.</summary>
    public int Bits { get; }

    /// <summary>Inputs that share a scale.</summary>
    public int GroupSize { get; }

    /// <summary>Whether a group is a row by definition, however long.</summary>
    public bool IsPerRow { get; }

    /// <summary>Whether all rows have the same scale and zero point.</summary>
    public bool IsPerMatrix { get; }

    /// <summary>Whether every zero point is the middle code, 2^(bits-1).</summary>
    public bool Symmetric { get; }

    /// <summary>Groups in a row.</summary>
    public int Groups => Columns / GroupSize;

    /// <summary>[rows, groups].</summary>
    public Half[] Scales { get; }

    /// <summary>[rows, groups]; the code that stands for exactly 0. Not used on <see cref="Levels"/>.</summary>
    public byte[] Zeros { get; }

    /// <summary>[rows, columns], each 0 to 2^bits - 1.</summary>
    public byte[] Codes { get; }

    /// <summary>The code of the nearest number that a group, counted through all rows, can hold.</summary>
    internal byte Nearest(float value, int group)
    {
        float scale = (float)Scales[group];
        return Levels is null ? UniformGrid.Code(value, scale, Zeros[group], Bits) : Levels.Nearest(scale == 0 ? 0 : value / scale);
    }

    /// <summary>Gives a weight, counted row after row, the code nearest a value; returns what that stands for.</summary>
    public float Settle(int place, float value)
    {
        int group = place / GroupSize;
        byte code = Codes[place] = Nearest(value, group);
        return (float)Scales[group] * Unit(code, group);
    }

    /// <summary>What a code stands for before the scale.</summary>
    internal float Unit(byte code, int group) => Levels is null ? code - Zeros[group] : Levels.Levels[code];

    /// <summary>The numbers as they will be stored: whole rows from <paramref name="firstRow"/> on, as many as fit <paramref name="dense"/>.</summary>
    public void Unpack(int firstRow, Span<float> dense)
    {
        int group = firstRow * Groups;
        for (int place = group * GroupSize; dense.Length > 0; place += GroupSize, group++, dense = dense[GroupSize..])
        {
            float scale = (float)Scales[group];
            ReadOnlySpan<byte> codes = Codes.AsSpan(place, GroupSize);
            for (int i = 0; i < codes.Length; i++)
                dense[i] = scale * Unit(codes[i], group);
        }
    }

    /// <summary>All numbers, row-major.</summary>
    public float[] ToDense()
    {
        float[] dense = new float[Codes.Length];
        Unpack(0, dense);
        return dense;
    }

    /// <summary>Takes a row from a grid of the same kind.</summary>
    public void CopyRow(Grid other, int row)
    {
        other.Scales.AsSpan(row * Groups, Groups).CopyTo(Scales.AsSpan(row * Groups));
        other.Zeros.AsSpan(row * Groups, Groups).CopyTo(Zeros.AsSpan(row * Groups));
        other.Codes.AsSpan(row * Columns, Columns).CopyTo(Codes.AsSpan(row * Columns));
    }
}

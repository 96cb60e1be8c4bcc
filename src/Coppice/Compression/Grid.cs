using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>A matrix on a uniform grid: value = scale * (code - zero), with a scale and a zero point for each run of <see cref="GroupSize"/> inputs of a row.</summary>
public sealed class Grid
{
    /// <summary>A grid for a matrix [rows, columns]; <paramref name="groupSize"/> divides <paramref name="columns"/>, or is <see cref="IntWeight.WholeRow"/>.</summary>
    public Grid(int rows, int columns, int bits, int groupSize, bool symmetric)
    {
        IsPerRow = groupSize == IntWeight.WholeRow;
        GroupSize = IsPerRow ? columns : groupSize;
        if (GroupSize < 1 || columns % GroupSize != 0)
            throw new ArgumentException($"Grid: groups of {groupSize} for {columns} columns, wanted a divisor");
        (Rows, Columns, Bits, Symmetric) = (rows, columns, bits, symmetric);
        Scales = new Half[rows * Groups];
        Zeros = new byte[rows * Groups];
        Codes = new byte[checked(rows * columns)];
    }

    /// <summary>Outputs.</summary>
    public int Rows { get; }

    /// <summary>Inputs.</summary>
    public int Columns { get; }

    /// <summary>Bits a code, 2 to 8.</summary>
    public int Bits { get; }

    /// <summary>Inputs that share a scale.</summary>
    public int GroupSize { get; }

    /// <summary>Whether a group is a row by definition, however long.</summary>
    public bool IsPerRow { get; }

    /// <summary>Whether every zero point is the middle code, 2^(bits-1).</summary>
    public bool Symmetric { get; }

    /// <summary>Groups in a row.</summary>
    public int Groups => Columns / GroupSize;

    /// <summary>[rows, groups].</summary>
    public Half[] Scales { get; }

    /// <summary>[rows, groups]; the code that stands for exactly 0.</summary>
    public byte[] Zeros { get; }

    /// <summary>[rows, columns], each 0 to 2^bits - 1.</summary>
    public byte[] Codes { get; }

    /// <summary>The numbers as they will be stored, scale * (code - zero): whole rows from <paramref name="firstRow"/> on, as many as fit <paramref name="dense"/>.</summary>
    public void Unpack(int firstRow, Span<float> dense)
    {
        int group = firstRow * Groups;
        for (int place = group * GroupSize; dense.Length > 0; place += GroupSize, group++, dense = dense[GroupSize..])
        {
            float scale = (float)Scales[group];
            int zero = Zeros[group];
            ReadOnlySpan<byte> codes = Codes.AsSpan(place, GroupSize);
            for (int i = 0; i < codes.Length; i++)
                dense[i] = scale * (codes[i] - zero);
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

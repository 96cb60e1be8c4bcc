using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix with zeros anywhere: one bit a weight says whether it is kept, and the kept ones are halves.</summary>
public sealed class SparseWeight : PackedWeight
{
    readonly byte[] mask;
    readonly Half[] kept;
    readonly int[] rowStarts;

    /// <summary>Wraps (does not copy) a mask [outputs, ceil(inputs / 8)], least significant bit first, and the kept numbers in order.</summary>
    public SparseWeight(int rows, int columns, byte[] mask, Half[] kept) : base(rows, columns)
    {
        int bytes = Bitmask.BytesPerRow(columns);
        if (mask.Length != (long)rows * bytes)
            throw new ArgumentException($"SparseWeight: a mask of {mask.Length} bytes for [{rows}, {columns}]");
        rowStarts = new int[rows + 1];
        for (int row = 0; row < rows; row++)
        {
            if (columns % 8 != 0 && mask[(row + 1) * bytes - 1] >> columns % 8 != 0)
                throw new ArgumentException($"SparseWeight: row {row} of the mask keeps a weight past column {columns}");
            rowStarts[row + 1] = rowStarts[row] + Bitmask.Count(mask.AsSpan(row * bytes, bytes));
        }
        if (kept.Length != rowStarts[rows])
            throw new ArgumentException($"SparseWeight: {kept.Length} numbers for {rowStarts[rows]} bits of the mask");
        (this.mask, this.kept) = (mask, kept);
    }

    /// <summary>Keeps what is not zero once rounded to half, ties to even.</summary>
    /// <exception cref="Coppice.Tensors.CoppiceException">A number is too large for a half.</exception>
    public static SparseWeight From(int rows, int columns, ReadOnlySpan<float> values)
    {
        int bytes = Bitmask.BytesPerRow(columns);
        byte[] mask = new byte[rows * bytes];
        List<Half> kept = [];
        float[] row = new float[columns];
        for (int i = 0; i < rows; i++)
        {
            HalfConversion.Round(values.Slice(i * columns, columns), row);
            Bitmask.SetNonZero(row, mask.AsSpan(i * bytes, bytes));
            foreach (float value in row)
                if (value != 0)
                    kept.Add((Half)value);
        }
        return new SparseWeight(rows, columns, mask, [.. kept]);
    }

    /// <summary>[outputs, ceil(inputs / 8)], least significant bit first.</summary>
    public ReadOnlySpan<byte> Mask => mask;

    /// <summary>The kept numbers, row by row.</summary>
    public ReadOnlySpan<Half> Kept => kept;

    /// <summary>Where each row starts among <see cref="Kept"/>, and where the last one ends.</summary>
    public ReadOnlySpan<int> RowStarts => rowStarts;

    /// <summary>Mask, kept numbers and an 8-byte offset a row, as the file has them.</summary>
    public override long ByteCount => mask.Length + 2L * kept.Length + 8L * Rows;

    /// <inheritdoc/>
    public override string Kind => "sparse-f16";

    private protected override PanelProduct Pack(WorkerPool pool) =>
        // With more kept than this the mask costs more time than it saves memory.
        kept.Length > 3L * Rows * Columns / 4 ? PanelProduct.Float16(pool, this) : PanelProduct.Sparse(pool, this);

    internal override Weight StackWith(IReadOnlyList<Weight> parts)
    {
        SparseWeight[] all = [.. parts.Cast<SparseWeight>()];
        return new SparseWeight(all.Sum(part => part.Rows), Columns, [.. all.SelectMany(part => part.mask)], [.. all.SelectMany(part => part.kept)]);
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        int bytes = Bitmask.BytesPerRow(Columns);
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
            Bitmask.Scatter(mask.AsSpan(row * bytes, bytes), kept.AsSpan(rowStarts[row]..rowStarts[row + 1]), dense[..Columns]);
    }
}

namespace Coppice.Weights;

/// <summary>Rows of matrices of plain numbers, one matrix below another, unpacked from where they are.</summary>
/// <param name="parts">All of one kind and one number of columns.</param>
/// <param name="order">The row of all rows that each of this one's is; null where they are all in order.</param>
internal sealed class StackedWeight(IReadOnlyList<Weight> parts, int[]? order = null) : Weight(order?.Length ?? parts.Sum(part => part.Rows), parts[0].Columns)
{
    readonly int[]? order = order;

    /// <inheritdoc/>
    public override bool IsInMemory => false;

    /// <inheritdoc/>
    public override long ByteCount => parts[0].ByteCount / parts[0].Rows * Rows;

    /// <inheritdoc/>
    public override string Kind => parts[0].Kind;

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        if (order is null)
        {
            Read(firstRow, dense);
            return;
        }
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
            Read(order[row], dense[..Columns]);
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        int[] rows = order.ToArray();
        return new StackedWeight(parts, this.order is null ? rows : Array.ConvertAll(rows, row => this.order[row]));
    }

    void Read(int row, Span<float> dense)
    {
        foreach (Weight part in parts)
        {
            int count = Math.Min(part.Rows - row, dense.Length / Columns);
            if (count > 0)
            {
                part.Unpack(row, dense[..(count * Columns)]);
                dense = dense[(count * Columns)..];
                row += count;
            }
            row -= part.Rows;
        }
    }
}

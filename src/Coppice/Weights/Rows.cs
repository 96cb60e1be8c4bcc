namespace Coppice.Weights;

/// <summary>A view of <paramref name="count"/> rows of <paramref name="columns"/> float32 numbers each, row-major.</summary>
public readonly ref struct Rows(Span<float> data, int count, int columns)
{
    /// <summary>The numbers, row-major.</summary>
    public Span<float> Data { get; } = data.Length == (long)count * columns
        ? data
        : throw new ArgumentException($"Rows: {data.Length} numbers for [{count}, {columns}]");

    /// <summary>How many rows.</summary>
    public int Count { get; } = count;

    /// <summary>Numbers in a row.</summary>
    public int Columns { get; } = columns;

    /// <summary>One row.</summary>
    public Span<float> this[int row] => Data.Slice(row * Columns, Columns);
}

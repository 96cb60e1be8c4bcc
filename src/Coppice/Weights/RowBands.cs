namespace Coppice.Weights;

/// <summary>A matrix a few rows at a time, for who looks at every number once.</summary>
static class RowBands
{
    // About a megabyte of float32.
    const int Numbers = 1 << 18;

    /// <summary>Bands of whole rows in order, each with its first row; a band's numbers stand until the next one is asked for.</summary>
    public static IEnumerable<(int FirstRow, ReadOnlyMemory<float> Numbers)> Of(Weight weight)
    {
        if (weight.Rows == 0 || weight.Columns == 0)
            yield break;
        Weight made = DeferredWeight.Made(weight);
        int rows = Math.Clamp(Numbers / made.Columns, 1, made.Rows);
        float[] buffer = new float[rows * made.Columns];
        for (int first = 0; first < made.Rows; first += rows)
        {
            Memory<float> band = buffer.AsMemory(0, Math.Min(rows, made.Rows - first) * made.Columns);
            made.Unpack(first, band.Span);
            yield return (first, band);
        }
    }
}

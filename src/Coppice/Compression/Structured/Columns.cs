using Coppice.Weights;

namespace Coppice.Compression.Structured;

/// <summary>Some of a matrix's inputs.</summary>
static class Columns
{
    /// <summary>Numbers [outputs, columns] of <paramref name="weights"/> [outputs, <paramref name="all"/>].</summary>
    public static float[] Of(ReadOnlySpan<float> weights, int all, ReadOnlySpan<int> columns)
    {
        float[] taken = new float[weights.Length / all * columns.Length];
        for (int i = 0; i < taken.Length; i++)
            taken[i] = weights[i / columns.Length * all + columns[i % columns.Length]];
        return taken;
    }

    /// <summary>The same of changed numbers of a matrix, as a matrix of its kind.</summary>
    public static Weight Of(Weight matrix, ReadOnlySpan<float> changed, int[] columns) =>
        MatrixLayout.Plain(matrix.Kind, matrix.Rows, columns.Length, Of(changed, matrix.Columns, columns))!;
}

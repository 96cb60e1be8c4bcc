using System.Numerics.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Structured;

/// <summary>The maths of units' scores. Scores are squares, so that they add up over what a unit is made of.</summary>
public static class Importance
{
    /// <summary>Adds each row's sum of squares, for weights [rows, columns], to <paramref name="sums"/> [rows].</summary>
    public static void AddRowSquares(ReadOnlySpan<float> weights, int columns, Span<double> sums)
    {
        for (int row = 0; row < sums.Length; row++)
            sums[row] += TensorPrimitives.SumOfSquares(weights.Slice(row * columns, columns));
    }

    /// <summary>Adds each column's sum of squares to <paramref name="sums"/> [columns].</summary>
    public static void AddColumnSquares(ReadOnlySpan<float> weights, Span<double> sums)
    {
        for (int start = 0; start < weights.Length; start += sums.Length)
            for (int j = 0; j < sums.Length; j++)
                sums[j] += (double)weights[start + j] * weights[start + j];
    }

    /// <summary>The mean square over tokens of what each input adds to the outputs, all outputs together: E[x_j^2] * sum_i w_ij^2. With variances in place of mean squares what it adds beside a constant.</summary>
    public static void Contributions(ReadOnlySpan<double> meanSquares, ReadOnlySpan<double> columnSquares, Span<double> scores) =>
        TensorPrimitives.Multiply(meanSquares, columnSquares, scores);

    /// <summary>Adds scores to others.</summary>
    internal static void Add(ReadOnlySpan<double> scores, Span<double> sums) => TensorPrimitives.Add(sums, scores, sums);

    /// <summary>Sums of each <paramref name="size"/> neighbours: of a head's numbers its score, of heads' scores their group's.</summary>
    public static void Groups(ReadOnlySpan<double> scores, int size, Span<double> sums)
    {
        for (int i = 0; i < sums.Length; i++)
            sums[i] = TensorPrimitives.Sum(scores.Slice(i * size, size));
    }

    /// <summary>The highest <paramref name="keep"/> of the scores, by number; of equal ones the last.</summary>
    public static int[] Highest(ReadOnlySpan<double> scores, int keep)
    {
        double[] keys = scores.ToArray();
        int[] order = [.. Enumerable.Range(0, keys.Length).OrderBy(i => keys[i])];
        int[] kept = order[(keys.Length - keep)..];
        Array.Sort(kept);
        return kept;
    }

    /// <summary>What the units that are not in <paramref name="kept"/> have of all scores, 0 to 1.</summary>
    public static double ShareGone(ReadOnlySpan<double> scores, ReadOnlySpan<int> kept)
    {
        double all = TensorPrimitives.Sum(scores), left = 0;
        foreach (int unit in kept)
            left += scores[unit];
        return all == 0 ? 0 : Math.Max(0, 1 - left / all);
    }

    /// <summary>Each row's sum of squares of a matrix, read row by row.</summary>
    internal static double[] RowSquares(Weight weight)
    {
        double[] sums = new double[weight.Rows];
        float[] row = new float[weight.Columns];
        for (int i = 0; i < weight.Rows; i++)
        {
            weight.Unpack(i, row);
            AddRowSquares(row, row.Length, sums.AsSpan(i, 1));
        }
        return sums;
    }

    /// <summary>Each column's sum of squares of a matrix, read row by row.</summary>
    internal static double[] ColumnSquares(Weight weight)
    {
        double[] sums = new double[weight.Columns];
        float[] row = new float[weight.Columns];
        for (int i = 0; i < weight.Rows; i++)
        {
            weight.Unpack(i, row);
            AddColumnSquares(row, sums);
        }
        return sums;
    }
}

using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Compression.Structured;

/// <summary>A matrix whose inputs make up for others that went.</summary>
/// <param name="Weights">W' [outputs, inputs that stay], in the kind of numbers of W.</param>
/// <param name="Bias">The new bias [outputs], where there was one.</param>
/// <param name="ErrorWithout">The share of the outputs' mean square that is off if nothing makes up for what went.</param>
/// <param name="ErrorWith">The same with W'.</param>
sealed record Reconstruction(Weight Weights, float[]? Bias, double ErrorWithout, double ErrorWith)
{
    /// <summary>What it was good for, in words.</summary>
    public string Note => string.Create(CultureInfo.InvariantCulture, $"; what reads the others is off by {100 * ErrorWith:0.00} % in place of {100 * ErrorWithout:0.00} %");

    /// <summary>Puts W' and the bias into a product that has lost its inputs.</summary>
    public void Put(Linear linear)
    {
        linear.Weight = Weights;
        Bias?.CopyTo(linear.Bias!.Data);
    }

    /// <summary>
    /// W' = W_kept + D with D = W_gone G_gone,kept (G_kept,kept + lambda I)^-1: the least squares of the outputs, where the ridge holds what is added to W and not W itself, so that W' is never worse than W_kept on the inputs that G is of.
    /// With a bias G is of distances from the means m, and the bias takes up W_gone m_gone - D m_kept.
    /// </summary>
    /// <param name="work">Threads.</param>
    /// <param name="linear">W [outputs, inputs] and its bias.</param>
    /// <param name="kept">The inputs that stay, ascending.</param>
    /// <param name="inputs">What calibration saw of all inputs.</param>
    /// <param name="dampening">lambda as a share of the mean of G's diagonal.</param>
    public static Reconstruction Of(ModelWork work, Linear linear, int[] kept, Inputs inputs, double dampening)
    {
        int outputs = linear.Weight.Rows, all = linear.Weight.Columns, stay = kept.Length, lost = all - stay;
        int[] gone = [.. Enumerable.Range(0, all).Except(kept)];
        float[] weights = linear.Weight.ToDense(), ours = Columns.Of(weights, all, kept), others = Columns.Of(weights, all, gone);
        double[] means = [.. Enumerable.Range(0, all).Select(j => linear.Bias is null ? 0 : inputs.Moments.Mean(j))];
        float[] moments = new float[all * all], cross = new float[lost * stay], right = new float[outputs * stay], added = new float[outputs * stay];
        double[] gram = new double[stay * stay];
        for (int i = 0; i < all; i++)
            for (int j = 0; j < all; j++)
                moments[i * all + j] = (float)Moment(i, j);
        for (int j = 0; j < stay; j++)
        {
            for (int i = 0; i < stay; i++)
                gram[i * stay + j] = Moment(kept[i], kept[j]);
            for (int i = 0; i < lost; i++)
                cross[i * stay + j] = moments[gone[i] * all + kept[j]];
        }
        Gemm.Multiply(work.Pool, Transpose.No, Transpose.No, outputs, stay, lost, others, lost, cross, stay, right, stay, Accumulate.Overwrite);
        LeastSquares.Solve(work.Pool, gram, right, stay, dampening, added, work.Cancel);

        double whole = Energy(work.Pool, weights, inputs.Products!.Gram, all);
        float[] change = [.. weights];
        Fill(change, new float[ours.Length], all, kept);
        double without = Energy(work.Pool, change, inputs.Products.Gram, all);
        Fill(change, [.. added.Select(value => -value)], all, kept);
        double with = Energy(work.Pool, change, moments, all);
        float[]? bias = linear.Bias is null ? null : [.. Enumerable.Range(0, outputs).Select(row => linear.Bias.Data[row] + (float)Moved(change.AsSpan(row * all, all)))];
        for (int i = 0; i < ours.Length; i++)
            ours[i] += added[i];
        return new Reconstruction(MatrixLayout.Plain(linear.Weight.Kind, outputs, stay, ours)!, bias, whole == 0 ? 0 : without / whole, whole == 0 ? 0 : with / whole);

        double Moment(int i, int j) => inputs.Products!.MeanProduct(i, j) - means[i] * means[j];

        double Moved(ReadOnlySpan<float> row)
        {
            double sum = 0;
            for (int j = 0; j < row.Length; j++)
                sum += row[j] * means[j];
            return sum;
        }
    }

    // The mean square of all outputs together.
    static double Energy(WorkerPool pool, float[] weights, ReadOnlySpan<float> gram, int columns)
    {
        double[] rows = new double[weights.Length / columns];
        LayerObjective.Rows(pool, (row, e) => weights.AsSpan(row * columns, e.Length).CopyTo(e), gram, columns, rows);
        return rows.Sum();
    }

    static void Fill(float[] weights, float[] values, int all, int[] columns)
    {
        for (int i = 0; i < values.Length; i++)
            weights[i / columns.Length * all + columns[i % columns.Length]] = values[i];
    }
}

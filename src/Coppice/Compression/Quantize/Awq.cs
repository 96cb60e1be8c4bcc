using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Makes the channels that carry most larger before they are rounded: by s = mean(abs(x))^alpha, with the alpha whose rounding changes the outputs of the matrices that read them least (AWQ, Lin et al. 2023). It rounds nothing: a step behind it does.</summary>
public sealed record Awq : ScalingStep
{
    // Alphas that are tried: 0, 1 / 20 ... 19 / 20, as in the paper.
    const int Tries = 20;

    // Channels of which nothing is seen are not divided by 0.
    const double Least = 1e-4;

    /// <inheritdoc/>
    public override string Key => "awq";

    /// <summary>The rounding that is looked ahead to: <see cref="QuantizeStep.Bits"/>, groups, symmetry and range are those of the step behind.</summary>
    public RoundToNearest Rounding { get; init; } = new() { Symmetric = false };

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => Rounding.Options;

    private protected override Statistics Needs => Statistics.Gram;

    private protected override void Check(string matrix, Linear reader)
    {
        if (Rounding.Refuses(reader.Weight.Rows, reader.Weight.Columns) is { } reason)
            throw new CoppiceException($"{Key}: {matrix}: {reason}");
    }

    private protected override (double[]? Factors, string Note) Choose(ScalableInputs inputs, SeenInputs seen, ModelWork work)
    {
        double[] sizes = inputs.PerChannel(seen.MeanMagnitude, all => all.Average());
        float[][] weights = [.. inputs.Readers.Select(reader => reader.Weight.ToDense())];
        double plain = 0, least = double.PositiveInfinity, best = 0;
        for (int i = 0; i < Tries; i++)
        {
            work.Cancel.ThrowIfCancellationRequested();
            double alpha = (double)i / Tries, error = 0;
            float[] factors = inputs.PerInput(Factors(sizes, alpha));
            foreach (float[] matrix in weights)
                error += Error(work.Pool, matrix, factors, seen.Products!);
            if (i == 0)
                plain = error;
            if (error < least)
                (least, best) = (error, alpha);
        }
        return (best == 0 ? null : Factors(sizes, best), string.Create(CultureInfo.InvariantCulture, $"alpha {best:0.00}, rounding changes outputs by {(plain == 0 ? 1 : least / plain):0.000} of what it did"));
    }

    /// <summary>size^alpha, as far below 1 at the smallest as above it at the largest.</summary>
    public static double[] Factors(double[] sizes, double alpha)
    {
        double[] factors = [.. sizes.Select(size => Math.Max(Math.Pow(size, alpha), Least))];
        double middle = Math.Sqrt(factors.Max() * factors.Min());
        return [.. factors.Select(factor => factor / middle)];
    }

    // What the outputs change by, squared, where weights are rounded as factors scale them.
    double Error(WorkerPool pool, float[] weights, float[] factors, InputStatistics products)
    {
        int columns = factors.Length, rows = weights.Length / columns;
        float[] scaled = new float[weights.Length];
        for (int start = 0; start < weights.Length; start += columns)
            TensorPrimitives.Multiply(weights.AsSpan(start, columns), factors, scaled.AsSpan(start, columns));
        float[] importance = [.. factors.Select((factor, j) => (float)(products.MeanSquare(j) / ((double)factor * factor)))];
        Grid grid = Rounding.NewGrid(rows, columns, scaled, importance, mask: null);
        RoundToNearest.Round(pool, scaled, Rounding.RangeOf(importance), grid);
        double[] errors = new double[rows];
        LayerObjective.Rows(pool, (first, change) =>
        {
            grid.Unpack(first, change);
            for (int start = 0; start < change.Length; start += columns)
            {
                Span<float> row = change.Slice(start, columns);
                TensorPrimitives.Divide(row, factors, row);
                TensorPrimitives.Subtract(weights.AsSpan(first * columns + start, columns), row, row);
            }
        }, products.Gram, columns, errors);
        return errors.Sum();
    }
}

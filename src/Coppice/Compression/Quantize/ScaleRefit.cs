using System.Numerics.Tensors;
using Coppice.Tensors;
using MathNet.Numerics.LinearAlgebra;

namespace Coppice.Compression.Quantize;

/// <summary>Fits a row's scales once more, all groups together, when its codes stand: the least (w - D s) H (w - D s)^T, where column g of D holds group g's codes less its zero point.</summary>
internal static class ScaleRefit
{
    // Holds scales to what they were where codes alone do not tell them, as in a group of zeros.
    const double Ridge = 1e-4;

    /// <summary>Replaces the scales of <paramref name="grid"/> for weights [rows, columns] and H [columns, columns]; a row whose fit is no grid keeps its own.</summary>
    public static void Fit(WorkerPool pool, float[] weights, float[] gram, Grid grid)
    {
        RowJob job = new(weights, gram, grid);
        pool.Run(grid.Rows, ref job);
    }

    readonly struct RowJob(float[] weights, float[] gram, Grid grid) : IJob
    {
        public void Execute(int part)
        {
            int columns = grid.Columns, groups = grid.Groups, size = grid.GroupSize;
            ReadOnlySpan<float> w = weights.AsSpan(part * columns, columns);
            ReadOnlySpan<byte> codes = grid.Codes.AsSpan(part * columns, columns), zeros = grid.Zeros.AsSpan(part * groups, groups);
            Span<Half> scales = grid.Scales.AsSpan(part * groups, groups);
            Matrix<double> a = Matrix<double>.Build.Dense(groups, groups);
            Vector<double> b = Vector<double>.Build.Dense(groups), old = Vector<double>.Build.Dense(groups);
            float[] centred = new float[columns], reach = new float[columns];
            for (int i = 0; i < columns; i++)
                centred[i] = codes[i] - zeros[i / size];
            for (int g = 0; g < groups; g++)
            {
                // H D_g
                Array.Clear(reach);
                for (int i = g * size; i < (g + 1) * size; i++)
                    TensorPrimitives.MultiplyAdd(gram.AsSpan(i * columns, columns), centred[i], reach, reach);
                for (int h = 0; h < groups; h++)
                    a[g, h] = TensorPrimitives.Dot<float>(reach.AsSpan(h * size, size), centred.AsSpan(h * size, size));
                b[g] = TensorPrimitives.Dot<float>(reach, w);
                old[g] = (double)scales[g];
            }
            double mean = a.Trace() / groups;
            if (mean == 0)
                return;
            Vector<double> residual = b - a * old;
            for (int g = 0; g < groups; g++)
                a[g, g] += Ridge * mean;
            Vector<double> fitted = old + a.Solve(residual);
            foreach (double scale in fitted)
                if (!(scale >= 0 && scale <= (double)Half.MaxValue))
                    return;
            for (int g = 0; g < groups; g++)
                scales[g] = (Half)fitted[g];
        }
    }
}

using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>Fits a row's scales once more, all groups together, when its codes stand: the least (w - D s) H (w - D s)^T, where column g of D holds group g's codes less its zero point.</summary>
internal static class ScaleRefit
{
    // Holds scales to what they were where codes alone do not tell them, as in a group of zeros.
    const double Ridge = 1e-4;

    // Rows whose products are done together: at most this many, and no more numbers in their normal equations than that.
    const int MostRows = 256, MostNumbers = 1 << 22;

    /// <summary>Replaces the scales of <paramref name="grid"/> for weights [rows, columns] and H [columns, columns]; a row whose fit is no grid keeps its own.</summary>
    public static void Fit(WorkerPool pool, float[] weights, ReadOnlySpan<float> gram, Grid grid)
    {
        int share = (grid.Rows + pool.Threads - 1) / pool.Threads;
        int band = Math.Clamp(MostNumbers / (grid.Groups * grid.Groups), 1, Math.Min(MostRows, share));
        BandJob job = new(weights, gram, grid, band);
        pool.Run((grid.Rows + band - 1) / band, ref job);
    }

    // With e = w - D s: D^T H D d = D^T H e gives the step d. Both sides come from products of whole bands of rows.
    readonly ref struct BandJob(float[] weights, ReadOnlySpan<float> gram, Grid grid, int band) : IJob
    {
        readonly ReadOnlySpan<float> gram = gram;

        public void Execute(int part)
        {
            int columns = grid.Columns, groups = grid.Groups, size = grid.GroupSize, first = part * band, rows = Math.Min(band, grid.Rows - first);
            // The next band uses them again: that the system gives and takes tens of megabytes for each costs more than the products.
            float[] centred = Rent(rows * columns), error = Rent(rows * columns), product = Rent(rows * columns), normal = Rent(rows * groups * groups), right = Rent(rows * groups);
            for (int r = 0, at = 0; r < rows; r++)
                for (int i = 0; i < columns; i++, at++)
                {
                    int group = (first + r) * groups + i / size, place = (first + r) * columns + i;
                    centred[at] = grid.Unit(grid.Codes[place], group);
                    error[at] = weights[place] - (float)grid.Scales[group] * centred[at];
                }
            Gemm.Multiply(Transpose.No, Transpose.No, rows, columns, columns, error, columns, gram, columns, product, columns, Accumulate.Overwrite);
            for (int r = 0; r < rows; r++)
                for (int g = 0; g < groups; g++)
                    right[r * groups + g] = Dot(centred, r * columns + g * size, product, r * columns + g * size);
            for (int h = 0; h < groups; h++)
            {
                // H D_h of all rows, on and right of the diagonal.
                int start = h * size, width = columns - start;
                Gemm.Multiply(Transpose.No, Transpose.No, rows, width, size, centred.AsSpan(start), columns, gram[(start * columns + start)..], columns, product, width, Accumulate.Overwrite);
                for (int r = 0; r < rows; r++)
                    for (int g = h; g < groups; g++)
                        normal[(r * groups + g) * groups + h] = Dot(centred, r * columns + g * size, product, r * width + g * size - start);
            }
            double[] a = new double[groups * groups], step = new double[groups];
            for (int r = 0; r < rows; r++)
            {
                for (int g = 0; g < groups; g++)
                {
                    step[g] = right[r * groups + g];
                    for (int h = 0; h <= g; h++)
                        a[g * groups + h] = normal[(r * groups + g) * groups + h];
                }
                if (Solve(a, step, groups))
                    Take(grid.Scales.AsSpan((first + r) * groups, groups), step);
            }
            foreach (float[] rented in (ReadOnlySpan<float[]>)[centred, error, product, normal, right])
                ArrayPool<float>.Shared.Return(rented);
        }

        static float[] Rent(int length) => ArrayPool<float>.Shared.Rent(length);

        // Groups are short: sixteen sums, added pair by pair.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        float Dot(float[] x, int at, float[] y, int from)
        {
            ReadOnlySpan<float> a = x.AsSpan(at, grid.GroupSize), b = y.AsSpan(from, grid.GroupSize);
            if (a.Length % 16 != 0)
                return TensorPrimitives.Dot(a, b);
            Vector512<float> sum = default;
            for (int i = 0; i < a.Length; i += 16)
                sum = Vector512.FusedMultiplyAdd(Vector512.Create(a[i..]), Vector512.Create(b[i..]), sum);
            return Vector512.Sum(sum);
        }
    }

    // Lower triangle of a symmetric A [n, n]: x = (A + ridge)^-1 x by Cholesky's factor. False where there is nothing to solve.
    static bool Solve(double[] a, double[] x, int n)
    {
        double mean = 0;
        for (int i = 0; i < n; i++)
            mean += a[i * n + i] / n;
        if (!(mean > 0))
            return false;
        for (int i = 0; i < n; i++)
        {
            Span<double> row = a.AsSpan(i * n, n);
            row[i] += Ridge * mean;
            for (int j = 0; j < i; j++)
                row[j] = (row[j] - TensorPrimitives.Dot<double>(row[..j], a.AsSpan(j * n, j))) / a[j * n + j];
            double pivot = row[i] - TensorPrimitives.Dot<double>(row[..i], row[..i]);
            if (!(pivot > 0))
                return false;
            row[i] = Math.Sqrt(pivot);
            x[i] = (x[i] - TensorPrimitives.Dot<double>(row[..i], x.AsSpan(0, i))) / row[i];
        }
        for (int i = n - 1; i >= 0; i--)
        {
            x[i] /= a[i * n + i];
            TensorPrimitives.MultiplyAdd(a.AsSpan(i * n, i), -x[i], x.AsSpan(0, i), x.AsSpan(0, i));
        }
        return true;
    }

    // Scales are 0 to the largest half, or stay.
    static void Take(Span<Half> scales, double[] step)
    {
        for (int g = 0; g < scales.Length; g++)
            if (!((double)scales[g] + step[g] is >= 0 and <= 65504))
                return;
        for (int g = 0; g < scales.Length; g++)
            scales[g] = (Half)((double)scales[g] + step[g]);
    }
}

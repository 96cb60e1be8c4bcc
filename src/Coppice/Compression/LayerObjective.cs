using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression;

/// <summary>What a change of weights does to a layer's outputs: for each row e of a matrix, e H e^T, with H the mean of x^T x.</summary>
public static class LayerObjective
{
    const int Chunk = 256, Columns = 512;

    /// <summary>destination[r] = (a - b)_r H (a - b)_r^T for a and b [rows, columns] and a symmetric H [columns, columns]; an empty b stands for zeros.</summary>
    public static void Rows(WorkerPool pool, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> gram, int columns, Span<double> destination)
    {
        int most = Math.Min(Chunk, destination.Length);
        float[] difference = new float[most * columns], product = new float[most * Math.Min(Columns, columns)];
        for (int row = 0; row < destination.Length; row += Chunk)
        {
            int rows = Math.Min(Chunk, destination.Length - row), length = rows * columns;
            Span<float> e = difference.AsSpan(0, length);
            a.Slice(row * columns, length).CopyTo(e);
            if (!b.IsEmpty)
                TensorPrimitives.Subtract(e, b.Slice(row * columns, length), e);
            Span<double> sums = destination.Slice(row, rows);
            sums.Clear();
            // What lies on both sides of the diagonal is the same, and is computed once.
            for (int start = 0; start < columns; start += Columns)
            {
                int width = Math.Min(Columns, columns - start);
                Span<float> p = product.AsSpan(0, rows * width);
                Gemm.Multiply(pool, Transpose.No, Transpose.No, rows, width, start, e, columns, gram[start..], columns, p, width, Accumulate.Overwrite);
                TensorPrimitives.Multiply(p, 2f, p);
                Gemm.Multiply(pool, Transpose.No, Transpose.No, rows, width, width, e[start..], columns, gram[(start * columns + start)..], columns, p, width, Accumulate.Add);
                for (int r = 0; r < rows; r++)
                    sums[r] += TensorPrimitives.Dot<float>(e.Slice(r * columns + start, width), p.Slice(r * width, width));
            }
            for (int r = 0; r < rows; r++)
                sums[r] = Math.Max(0, sums[r]);
        }
    }

    /// <summary>||(W - Q) x||^2 / ||W x||^2 over the inputs that H was gathered from; 0 where W x is 0.</summary>
    public static double Relative(WorkerPool pool, ReadOnlySpan<float> original, ReadOnlySpan<float> stored, ReadOnlySpan<float> gram, int columns)
    {
        double[] errors = new double[original.Length / columns], outputs = new double[errors.Length];
        Rows(pool, original, stored, gram, columns, errors);
        Rows(pool, original, [], gram, columns, outputs);
        double total = outputs.Sum();
        return total == 0 ? 0 : errors.Sum() / total;
    }
}

using System.Buffers;
using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>What a change of weights does to a layer's outputs: for each row e of a matrix, e H e^T, with H the mean of x^T x.</summary>
public static class LayerObjective
{
    // Rows that a thread does at a time, and columns of their product.
    const int Chunk = 256, Strip = 512;

    /// <summary>Fills whole rows of a change, from <paramref name="firstRow"/> on; called by several threads at once.</summary>
    public delegate void Change(int firstRow, Span<float> rows);

    /// <summary>destination[r] = e_r H e_r^T for the change's rows e_r [columns] and a symmetric H [columns, columns].</summary>
    public static void Rows(WorkerPool pool, Change change, ReadOnlySpan<float> gram, int columns, Span<double> destination)
    {
        int chunk = Math.Clamp((destination.Length + pool.Threads - 1) / pool.Threads, 1, Chunk);
        ChunkJob job = new() { Change = change, Gram = gram, Columns = columns, Rows = chunk, Destination = destination };
        pool.Run((destination.Length + chunk - 1) / chunk, ref job);
    }

    /// <summary>For each row (w - q) H (w - q)^T, with <paramref name="stored"/> filling rows of q.</summary>
    internal static double[] Errors(LayerWork work, ReadOnlySpan<float> gram, Change stored)
    {
        double[] errors = new double[work.Rows];
        Rows(work.Pool, (first, rows) =>
        {
            stored(first, rows);
            TensorPrimitives.Subtract(rows, work.Original.AsSpan(first * work.Columns, rows.Length), rows);
        }, gram, work.Columns, errors);
        return errors;
    }

    ref struct ChunkJob : IJob
    {
        public Change Change;
        public ReadOnlySpan<float> Gram;
        public int Columns, Rows;
        public Span<double> Destination;

        public void Execute(int part)
        {
            int first = part * Rows, rows = Math.Min(Rows, Destination.Length - first), length = rows * Columns;
            float[] difference = ArrayPool<float>.Shared.Rent(length), product = ArrayPool<float>.Shared.Rent(rows * Math.Min(Strip, Columns));
            Span<float> e = difference.AsSpan(0, length);
            Change(first, e);
            Span<double> sums = Destination.Slice(first, rows);
            sums.Clear();
            // What lies on both sides of the diagonal is the same, and is computed once.
            for (int start = 0; start < Columns; start += Strip)
            {
                int width = Math.Min(Strip, Columns - start);
                Span<float> p = product.AsSpan(0, rows * width);
                Gemm.Multiply(Transpose.No, Transpose.No, rows, width, start, e, Columns, Gram[start..], Columns, p, width, Accumulate.Overwrite);
                TensorPrimitives.Multiply(p, 2f, p);
                Gemm.Multiply(Transpose.No, Transpose.No, rows, width, width, e[start..], Columns, Gram[(start * Columns + start)..], Columns, p, width, Accumulate.Add);
                for (int r = 0; r < rows; r++)
                    sums[r] += TensorPrimitives.Dot<float>(e.Slice(r * Columns + start, width), p.Slice(r * width, width));
            }
            for (int r = 0; r < rows; r++)
                sums[r] = Math.Max(0, sums[r]);
            ArrayPool<float>.Shared.Return(product);
            ArrayPool<float>.Shared.Return(difference);
        }
    }

    /// <summary>||(W - Q) x||^2 / ||W x||^2 over the inputs that H was gathered from; 0 where W x is 0.</summary>
    public static double Relative(WorkerPool pool, float[] original, Weight stored, ReadOnlySpan<float> gram)
    {
        int columns = stored.Columns;
        double[] errors = new double[original.Length / columns], outputs = new double[errors.Length];
        Rows(pool, (row, e) =>
        {
            stored.Unpack(row, e);
            TensorPrimitives.Subtract(original.AsSpan(row * columns, e.Length), e, e);
        }, gram, columns, errors);
        Rows(pool, (row, e) => original.AsSpan(row * columns, e.Length).CopyTo(e), gram, columns, outputs);
        double total = outputs.Sum();
        return total == 0 ? 0 : errors.Sum() / total;
    }
}

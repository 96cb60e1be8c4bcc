using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>GPTQ's recursion. In the order of columns, with U^T U = H^-1: q = round(w), e = (w - q) / U_cc, then w_k -= e U_ck for every k after c.</summary>
internal static class GptqSolver
{
    /// <summary>Columns that are settled one by one before their errors reach the rest in one product.</summary>
    public const int Block = 128;

    const int RowChunk = 16;

    /// <summary>Columns in the order in which they are rounded; ties stay as they are.</summary>
    public static int[] OrderOf(InputStatistics inputs, ColumnOrder order)
    {
        IEnumerable<int> columns = Enumerable.Range(0, inputs.Columns);
        return [.. order == ColumnOrder.ActOrder ? columns.OrderByDescending(inputs.MeanSquare) : columns];
    }

    /// <summary>Has <paramref name="rounding"/> settle every weight of [rows, columns]; U [columns, columns] has its rows and columns in <paramref name="order"/>.</summary>
    public static void Solve<TRounding>(WorkerPool pool, float[] weights, float[] u, int[] order, int block, TRounding rounding, CancellationToken cancel = default)
        where TRounding : struct, IRounding
    {
        int columns = order.Length, rows = weights.Length / columns;
        float[] work = new float[weights.Length];
        for (int row = 0, i = 0; row < rows; row++)
            for (int c = 0; c < columns; c++, i++)
                work[i] = weights[row * columns + order[c]];
        float[] errors = new float[rows * Math.Min(block, columns)];
        for (int start = 0; start < columns; start += block)
        {
            cancel.ThrowIfCancellationRequested();
            int end = Math.Min(columns, start + block), rest = columns - end;
            BlockJob<TRounding> job = new(work, u, order, start, end, rounding, errors);
            pool.Run((rows + RowChunk - 1) / RowChunk, ref job);
            // Errors arrive negated, so that the columns after the block are settled by one product.
            if (rest > 0)
                Gemm.Multiply(pool, Transpose.No, Transpose.No, rows, rest, end - start, errors, end - start,
                    u.AsSpan(start * columns + end), columns, work.AsSpan(end), columns, Accumulate.Add);
        }
    }

    readonly struct BlockJob<TRounding>(float[] work, float[] u, int[] order, int start, int end, TRounding rounding, float[] errors) : IJob
        where TRounding : struct, IRounding
    {
        public void Execute(int part)
        {
            int rows = work.Length / order.Length;
            for (int row = part * RowChunk; row < Math.Min(rows, (part + 1) * RowChunk); row++)
                Settle(row);
        }

        void Settle(int row)
        {
            int columns = order.Length, width = end - start;
            Span<float> w = work.AsSpan(row * columns, columns);
            Span<float> error = errors.AsSpan(row * width, width);
            for (int c = start; c < end; c++)
            {
                float e = (rounding.Round(row, order[c], w[c..end]) - w[c]) / u[c * columns + c];
                error[c - start] = e;
                Span<float> later = w[(c + 1)..end];
                TensorPrimitives.MultiplyAdd(u.AsSpan(c * columns + c + 1, later.Length), e, later, later);
            }
        }
    }
}

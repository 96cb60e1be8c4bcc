using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>GPTQ's recursion. In the order of columns, with U^T U = H^-1: q = round(w), e = (w - q) / U_cc, then w_k -= e U_ck for every k after c.</summary>
internal static unsafe class GptqSolver
{
    /// <summary>Columns that are settled one by one before their errors reach the rest in one product.</summary>
    public const int Block = 128;

    // Rows that go together: a row is a lane, and an error reaches a later column of all of them in one multiplication.
    const int Lanes = 16;

    /// <summary>Columns in the order in which they are rounded, runs of so many neighbours together; ties stay as they are.</summary>
    public static int[] OrderOf(InputStatistics inputs, ColumnOrder order, int run = 1)
    {
        IEnumerable<int[]> runs = Enumerable.Range(0, inputs.Columns).Chunk(run);
        return [.. (order == ColumnOrder.ActOrder ? runs.OrderByDescending(columns => columns.Sum(inputs.MeanSquare)) : runs).SelectMany(columns => columns)];
    }

    /// <summary>Sees all weights [rows, columns], in order and as they are before the columns from <paramref name="start"/> up to <paramref name="end"/> are settled.</summary>
    public delegate void BeforeBlock(float[] weights, int start, int end);

    /// <summary>Has <paramref name="rounding"/> settle every weight of [rows, columns]; U [columns, columns] has its rows and columns in <paramref name="order"/>. <paramref name="work"/> is as long as the weights; what is settled may go there where columns stay in their order.</summary>
    public static void Solve<TRounding>(WorkerPool pool, float[] weights, float[] u, int[] order, int block, TRounding rounding, float[] work, CancellationToken cancel = default, BeforeBlock? before = null)
        where TRounding : struct, IRounding
    {
        int columns = order.Length, rows = weights.Length / columns;
        ArrangeJob arrange = new(weights, work, order);
        pool.Run(rows, ref arrange);
        float[] errors = new float[rows * Math.Min(block, columns)];
        for (int start = 0; start < columns; start += block)
        {
            cancel.ThrowIfCancellationRequested();
            int end = Math.Min(columns, start + block), rest = columns - end;
            before?.Invoke(work, start, end);
            BlockJob<TRounding> job = new(work, u, order, start, end, rounding, errors);
            pool.Run((rows + Lanes - 1) / Lanes, ref job);
            // Errors arrive negated, so that the columns after the block are settled by one product.
            if (rest > 0)
                Gemm.Multiply(pool, Transpose.No, Transpose.No, rows, rest, end - start, errors, end - start,
                    u.AsSpan(start * columns + end), columns, work.AsSpan(end), columns, Accumulate.Add);
        }
    }

    readonly struct ArrangeJob(float[] weights, float[] work, int[] order) : IJob
    {
        public void Execute(int part)
        {
            ReadOnlySpan<float> row = weights.AsSpan(part * order.Length, order.Length);
            Span<float> arranged = work.AsSpan(part * order.Length, order.Length);
            for (int c = 0; c < arranged.Length; c++)
                arranged[c] = row[order[c]];
        }
    }

    readonly struct BlockJob<TRounding>(float[] work, float[] u, int[] order, int start, int end, TRounding rounding, float[] errors) : IJob
        where TRounding : struct, IRounding
    {
        public void Execute(int part)
        {
            int columns = order.Length, width = end - start, first = part * Lanes, rows = Math.Min(Lanes, work.Length / columns - first);
            // [column][row]
            float[] rented = ArrayPool<float>.Shared.Rent(width * Lanes);
            Span<float> block = rented.AsSpan(0, width * Lanes);
            block.Clear();
            for (int row = 0; row < rows; row++)
                for (int c = 0; c < width; c++)
                    block[c * Lanes + row] = work[(first + row) * columns + start + c];
            float* error = stackalloc float[Lanes];
            fixed (float* w = block, upper = &u[(long)start * columns + start])
                for (int c = 0; c < width; c++)
                {
                    float* line = upper + (long)c * columns;
                    for (int row = 0; row < rows; row++)
                    {
                        ReadOnlySpan<float> current = block[(c * Lanes + row)..];
                        error[row] = (rounding.Round(first + row, order[start + c], current, Lanes) - current[0]) / line[c];
                        errors[(first + row) * width + c] = error[row];
                    }
                    Spread(w + (c + 1) * Lanes, error, line + c + 1, width - c - 1);
                }
            ArrayPool<float>.Shared.Return(rented);
        }
    }

    // w[k][row] += error[row] u[k]
    static void Spread(float* w, float* error, float* u, int count)
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512: Spread<Lanes512, Vector512<float>>(w, error, u, count); break;
            case SimdLevel.Vector256: Spread<Lanes256, Vector256<float>>(w, error, u, count); break;
            case SimdLevel.Vector128: Spread<Lanes128, Vector128<float>>(w, error, u, count); break;
            default: Spread<Lanes1, float>(w, error, u, count); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Spread<TL, TV>(float* w, float* error, float* u, int count) where TL : struct, ILanes<TV> where TV : struct
    {
        for (int lane = 0; lane < Lanes; lane += TL.Count)
        {
            TV e = TL.Load(error + lane);
            for (int k = 0; k < count; k++)
            {
                float* place = w + k * Lanes + lane;
                TL.Store(TL.MultiplyAdd(TL.Broadcast(u[k]), e, TL.Load(place)), place);
            }
        }
    }
}

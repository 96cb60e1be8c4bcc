using System.Numerics.Tensors;
using Coppice.Compression.Quantize;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Structured;

/// <summary>
/// Optimal brain surgery on whole inputs (Hassibi and Stork 1993; Kurtic et al. 2023): with B = (G + lambda I)^-1, losing input j costs ||w_j||^2 / B_jj of the outputs' mean square once the others make up for it.
/// The cheapest goes, w_i -= w_j B_ij / B_jj, B -= B_:j B_j: / B_jj, and so on: what goes next is judged by what has gone.
/// </summary>
public static class Surgeon
{
    /// <summary>Takes out all but <paramref name="keep"/> inputs.</summary>
    /// <param name="pool">Threads.</param>
    /// <param name="gram">G [inputs, inputs], the mean of x x^T.</param>
    /// <param name="inputs">Numbers of x.</param>
    /// <param name="weights">W [outputs, inputs]; columns that stay make up for the others, which become 0.</param>
    /// <param name="keep">How many stay.</param>
    /// <param name="dampening">lambda as a share of the mean of G's diagonal; raised tenfold while there is no safe factor.</param>
    /// <param name="cancel">Stops the work.</param>
    /// <returns>The inputs that stay, ascending, and what losing the others cost of the outputs' mean square, all together.</returns>
    public static (int[] Kept, double Cost) Run(WorkerPool pool, ReadOnlySpan<float> gram, int inputs, Span<float> weights, int keep, double dampening, CancellationToken cancel = default)
    {
        int outputs = weights.Length / inputs;
        double[] inverse = Inverse(pool, gram, inputs, dampening, cancel), squares = new double[inputs];
        // Inputs are rows here, so that each is changed by one thread.
        float[] rows = new float[weights.Length];
        for (int i = 0; i < rows.Length; i++)
            rows[i] = weights[i % outputs * inputs + i / outputs];
        for (int j = 0; j < inputs; j++)
            squares[j] = TensorPrimitives.SumOfSquares<float>(rows.AsSpan(j * outputs, outputs));
        bool[] isGone = new bool[inputs];
        double cost = 0;
        for (int left = inputs; left > keep; left--)
        {
            cancel.ThrowIfCancellationRequested();
            int gone = -1;
            for (int j = 0; j < inputs; j++)
                if (!isGone[j] && (gone < 0 || Cost(j) < Cost(gone)))
                    gone = j;
            cost += Cost(gone);
            isGone[gone] = true;
            RemoveJob job = new(inverse[(gone * inputs)..((gone + 1) * inputs)], rows[(gone * outputs)..((gone + 1) * outputs)], gone, isGone, inverse, rows, squares);
            pool.Run(inputs, ref job);
        }
        for (int i = 0; i < rows.Length; i++)
            weights[i % outputs * inputs + i / outputs] = isGone[i / outputs] ? 0 : rows[i];
        return ([.. Enumerable.Range(0, inputs).Where(j => !isGone[j])], cost);

        double Cost(int j) => squares[j] / inverse[j * inputs + j];
    }

    static double[] Inverse(WorkerPool pool, ReadOnlySpan<float> gram, int inputs, double dampening, CancellationToken cancel)
    {
        double mean = 0;
        for (int i = 0; i < inputs; i++)
            mean += (double)gram[i * inputs + i] / inputs;
        float[] upper = new float[gram.Length], inverse = gram.ToArray();
        double used = dampening;
        while (!Cholesky.InverseFactor(pool, inputs, Damped, upper, cancel))
            used *= 10;
        Gemm.Multiply(pool, Transpose.Yes, Transpose.No, inputs, inputs, inputs, upper, inputs, upper, inputs, inverse, inputs, Accumulate.Overwrite);
        return Array.ConvertAll(inverse, value => (double)value);

        void Damped(int row, Span<double> to)
        {
            for (int j = 0; j < to.Length; j++)
                to[j] = inverse[row * (inputs + 1) + j];
            to[0] += (mean == 0 ? 1 : mean) * used;
        }
    }

    readonly struct RemoveJob(double[] goneInverse, float[] goneRow, int gone, bool[] isGone, double[] inverse, float[] rows, double[] squares) : IJob
    {
        public void Execute(int part)
        {
            if (isGone[part])
                return;
            Span<double> own = inverse.AsSpan(part * goneInverse.Length, goneInverse.Length);
            Span<float> row = rows.AsSpan(part * goneRow.Length, goneRow.Length);
            double factor = own[gone] / goneInverse[gone];
            TensorPrimitives.MultiplyAdd(goneInverse, -factor, own, own);
            TensorPrimitives.MultiplyAdd(goneRow, (float)-factor, row, row);
            squares[part] = TensorPrimitives.SumOfSquares<float>(row);
        }
    }
}

using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>What SparseGPT and GPTQ need of a layer's inputs, and what all layers that read them share: an order of columns and the factor of the damped inverse of their Gram matrix.</summary>
/// <param name="Order">How columns are ordered.</param>
/// <param name="Dampening">What was asked for.</param>
/// <param name="Run">Neighbouring columns that stay together in that order.</param>
/// <param name="Places">The columns in that order.</param>
/// <param name="Upper">The upper triangular U with (H + damping)^-1 = U^T U, rows and columns in that order.</param>
/// <param name="Used">The dampening that gave a factor.</param>
internal sealed record GptqFactor(ColumnOrder Order, double Dampening, int Run, int[] Places, float[] Upper, double Used)
{
    /// <summary>The factor of these inputs; found again while they stay the same.</summary>
    public static GptqFactor Of(WorkerPool pool, InputStatistics inputs, ColumnOrder order, double dampening, CancellationToken cancel, int run = 1)
    {
        if (inputs.Factors.Find(factor => factor.Order == order && factor.Dampening == dampening && factor.Run == run) is { } known)
            return known;
        int n = inputs.Columns;
        int[] places = GptqSolver.OrderOf(inputs, order, run);
        double mean = inputs.MeanOfSquares;
        double used = dampening;
        // Of inputs that no other matrix reads one factor at a time is enough.
        if (inputs.Readers <= 1)
            inputs.Factors.Clear();
        float[] upper = new float[(long)n * n];
        while (!Cholesky.InverseFactor(pool, n, Damped, upper, cancel))
            used *= 10;
        GptqFactor factor = new(order, dampening, run, places, upper, used);
        inputs.Factors.Add(factor);
        return factor;

        void Damped(int row, Span<double> to)
        {
            for (int j = 0; j < to.Length; j++)
                to[j] = inputs.MeanProduct(places[row], places[row + j]);
            to[0] += (mean == 0 ? 1 : mean) * used;
        }
    }

    /// <summary>The same for a matrix on the bench, which is told where dampening had to be raised.</summary>
    public static GptqFactor Of(LayerWork work, InputStatistics inputs, ColumnOrder order, double dampening, int run = 1)
    {
        if (!double.IsFinite(inputs.MeanOfSquares))
            throw new CoppiceException($"{work.Name}: calibration's activations are not finite");
        GptqFactor factor = Of(work.Pool, inputs, order, dampening, work.Cancel, run);
        if (factor.Used > dampening)
            work.Warnings.Add(string.Create(CultureInfo.InvariantCulture, $"{work.Name}: the inputs' Gram matrix has no Cholesky factor at dampening {dampening:R}; raised to {factor.Used:R}"));
        return factor;
    }
}

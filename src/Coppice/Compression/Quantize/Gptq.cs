using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>Rounds column after column and spreads each error over the columns that are left, weighed by the inputs' Gram matrix (Frantar et al. 2022).</summary>
/// <remarks>What an earlier step pruned counts as rounded to 0, so that the rest makes up for pruning too (Frantar and Alistarh 2023, joint form). A row that plain
/// rounding serves better keeps plain rounding: the layer's objective is never worse than that of <see cref="RoundToNearest"/>.</remarks>
public sealed record Gptq : QuantizeStep
{
    /// <inheritdoc/>
    public override string Key => "gptq";

    /// <inheritdoc/>
    public override Statistics Needs => Statistics.Gram;

    /// <summary>As the paper, but scales are searched and, when all codes stand, fitted once more: a small model keeps more that way.</summary>
    public Gptq() => Range = RangeFit.SquaredError;

    /// <summary>In which order columns are rounded. With <see cref="ColumnOrder.ActOrder"/> scales are fitted before, to groups of neighbours, so that no index of groups is stored.</summary>
    public ColumnOrder Order { get; init; } = ColumnOrder.ActOrder;

    /// <summary>What is added to the Gram matrix's diagonal, as a share of its mean; above 0. Raised tenfold, with a warning, while the matrix has no Cholesky factor.</summary>
    public double Dampening { get; init; } = 0.01;

    /// <summary>How often codes are gone over once more when all stand, each going where the others' errors want it, with scales fitted between (Behdin et al. 2023); the paper has none.</summary>
    public int Sweeps { get; init; } = 1;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        .. base.Options,
        ("order", Order switch { ColumnOrder.ActOrder => "actOrder", ColumnOrder.StaticGroups => "staticGroups", _ => "natural" }),
        ("dampening", Dampening.ToString("R", CultureInfo.InvariantCulture)),
        ("sweeps", Sweeps.ToString(CultureInfo.InvariantCulture)),
    ];

    /// <inheritdoc/>
    public override WeightStep WithoutInputs => ToNearest;

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        InputStatistics inputs = InputsOf(work);
        GptqFactor shared = FactorOf(work, inputs);
        (int[] order, float[] factor) = (shared.Places, shared.Upper);

        Grid plain = NewGrid(work), grid = plain.Empty();
        RoundToNearest.Round(work.Pool, work.Masked(), GridRange.AbsMax, plain);
        GridRange range = RangeOf(work);
        if (Order != ColumnOrder.Natural || grid.IsPerMatrix)
            SolveOnFixedScales(work, factor, order, range, grid);
        else
            GptqSolver.Solve(work.Pool, work.Original, factor, order, BlockFor(grid.GroupSize), new ToFittedGrid(grid, range, work.Mask), new float[work.Original.Length], work.Cancel);
        for (int sweep = 0; sweep <= Sweeps; sweep++)
        {
            if (sweep > 0)
                BlockDescent.Run(work, grid, inputs, shared.Used);
            if ((sweep == 0 || sweep < Sweeps) && Range == RangeFit.SquaredError && !grid.IsPerMatrix && !grid.HasPowerOfTwoScales)
                ScaleRefit.Fit(work.Pool, work.Original, inputs.Gram, grid);
        }
        work.Grid = grid;
        KeepBetterRows(work, inputs.Gram, plain, grid);
    }

    // Weights that make up for pruned ones grow: scales are fitted to what they grow to.
    static void SolveOnFixedScales(LayerWork work, float[] factor, int[] order, GridRange range, Grid grid)
    {
        float[] weights = work.Original;
        float[] scratch = new float[weights.Length];
        if (work.Mask is { } mask)
            GptqSolver.Solve(work.Pool, work.Original, factor, order, GptqSolver.Block, new ToMask(mask, work.Columns, weights = new float[weights.Length]), scratch, work.Cancel);
        RoundToNearest.Round(work.Pool, weights, range, grid);
        GptqSolver.Solve(work.Pool, work.Original, factor, order, GptqSolver.Block, new ToGrid(grid, work.Mask), scratch, work.Cancel);
    }

    // A group must be fitted when all earlier errors have arrived in it, and within a block: blocks are made of whole groups.
    static int BlockFor(int groupSize) => Math.Max(1, GptqSolver.Block / groupSize) * groupSize;

    GptqFactor FactorOf(LayerWork work, InputStatistics inputs)
    {
        if (inputs.MeanOfSquares == 0)
            work.Warnings.Add($"{work.Name}: all its calibration inputs are 0, so that gptq rounds to nearest");
        return GptqFactor.Of(work, inputs, Order, Dampening);
    }

    static void KeepBetterRows(LayerWork work, ReadOnlySpan<float> gram, Grid plain, Grid grid)
    {
        double[] plainError = LayerObjective.Errors(work, gram, plain.Unpack), error = LayerObjective.Errors(work, gram, grid.Unpack);
        // Rows that share one scale are kept together.
        bool isPlainBetter = plainError.Sum() <= error.Sum();
        for (int row = 0; row < work.Rows; row++)
            if (grid.IsPerMatrix ? isPlainBetter : plainError[row] <= error[row])
                grid.CopyRow(plain, row);
    }
}

/// <summary>In which order GPTQ rounds columns.</summary>
public enum ColumnOrder
{
    /// <summary>As they are stored; the paper's.</summary>
    Natural,

    /// <summary>As they are stored, with all scales fitted before the first column.</summary>
    StaticGroups,

    /// <summary>Those with the largest inputs first, while the most columns are left to make up for them.</summary>
    ActOrder,
}

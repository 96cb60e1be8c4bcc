namespace Coppice.Compression.Prune;

/// <summary>Drops the smallest mean of (w g)^2 over the calibration's batches: gradients of opposite signs do not cancel (Molchanov et al. 2019).</summary>
public sealed record Taylor : PreparedPruneStep
{
    /// <inheritdoc/>
    public override string Key => "taylor";

    /// <summary>Calibration text; experts that few tokens reach have no gradient to speak of.</summary>
    public override Statistics Needs => Statistics.ColumnNorms;

    // By the square's root, which orders alike and does not underflow.
    internal override IWeightScores Prepare(WholeModel whole) => new GradientScores(WeightGradients.Gather(whole, whole.Sequences, GradientMoment.RootMeanSquare));
}

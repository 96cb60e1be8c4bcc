namespace Coppice.Compression.Prune;

/// <summary>Drops the smallest abs(w g), with g the loss's mean gradient on the calibration text: what the loss changes by to first order if w goes (Molchanov et al. 2017).</summary>
public sealed record Gradient : PreparedPruneStep
{
    /// <inheritdoc/>
    public override string Key => "gradient";

    /// <summary>Calibration text; experts that few tokens reach have no gradient to speak of.</summary>
    public override Statistics Needs => Statistics.ColumnNorms;

    internal override IWeightScores Prepare(WholeModel whole) => new GradientScores(WeightGradients.Gather(whole, whole.Sequences, GradientMoment.Mean));
}

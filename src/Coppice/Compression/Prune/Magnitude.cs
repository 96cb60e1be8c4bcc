using System.Numerics.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Drops the smallest abs(w) (Han et al. 2015).</summary>
public sealed record Magnitude : PruneStep
{
    /// <inheritdoc/>
    public override string Key => "magnitude";

    /// <summary>Among which numbers the smallest are sought; a pattern always looks within its group.</summary>
    public PruneScope Scope { get; init; } = PruneScope.Tensor;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
        Pattern is null ? [.. base.Options, ("scope", Scope == PruneScope.Row ? "row" : "tensor")] : base.Options;

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        float[] scores = new float[work.Dense.Length];
        TensorPrimitives.Abs<float>(work.Dense, scores);
        Mask(work, scores, Scope);
    }
}

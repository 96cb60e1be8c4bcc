namespace Coppice.Compression.Prune;

/// <summary>Drops numbers by lot: the floor that every other method must beat.</summary>
public sealed record RandomPruning : PruneStep
{
    /// <inheritdoc/>
    public override string Key => "random";

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        float[] scores = new float[work.Dense.Length];
        for (int i = 0; i < scores.Length; i++)
            scores[i] = work.Random.NextSingle();
        Mask(work, scores, PruneScope.Tensor);
    }
}

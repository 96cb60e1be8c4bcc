namespace Coppice.Evaluation;

/// <summary>What compression did to the prediction of one token.</summary>
/// <param name="Document">Place in <see cref="EvaluationText.Documents"/>.</param>
/// <param name="Position">The token's place in the document's ids.</param>
/// <param name="Id">The token.</param>
/// <param name="BaseTop">What the base thought likeliest.</param>
/// <param name="CompressedTop">What the compressed model thought likeliest.</param>
/// <param name="BaseNats">The base's negative log-likelihood of the token.</param>
/// <param name="CompressedNats">The compressed model's.</param>
/// <param name="Kl">KL(base || compressed) of the two predictions, nats.</param>
public readonly record struct TokenComparison(
    int Document, int Position, int Id, int BaseTop, int CompressedTop, double BaseNats, double CompressedNats, double Kl)
{
    /// <summary>The likeliest token is another one now.</summary>
    public bool IsFlip => BaseTop != CompressedTop;

    /// <summary>The base had it right or the compressed model has, but not both.</summary>
    public bool IsCorrectnessFlip => BaseTop == Id != (CompressedTop == Id);

    /// <summary>Nats that compression adds; negative where it helps.</summary>
    public double DeltaNats => CompressedNats - BaseNats;

    /// <summary>Probability that compression adds to the token, -1 to 1.</summary>
    public double DeltaProbability => Math.Exp(-CompressedNats) - Math.Exp(-BaseNats);
}

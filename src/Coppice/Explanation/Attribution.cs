using System.Collections.Immutable;

namespace Coppice.Explanation;

/// <summary>How much each input token moved one logit, and how far the parts miss the whole.</summary>
public sealed record Attribution
{
    /// <summary>What made it, with its options: <c>integrated gradients, 50 steps, zero baseline</c>.</summary>
    public required string Method { get; init; }

    /// <summary>The input ids.</summary>
    public required ImmutableArray<int> Tokens { get; init; }

    /// <summary>One score a token, in logits: positive where the token raised the target.</summary>
    public required ImmutableArray<double> Scores { get; init; }

    /// <summary>The id whose logit is explained.</summary>
    public required int Target { get; init; }

    /// <summary>The input position after which the target stands.</summary>
    public required int Position { get; init; }

    /// <summary>F(x): the target's logit for the input.</summary>
    public required double Output { get; init; }

    /// <summary>F(b): the target's logit for the baseline.</summary>
    public required double BaselineOutput { get; init; }

    /// <summary>Sum of the scores - (F(x) - F(b)): zero for a complete method with exact arithmetic.</summary>
    public double Residual => Scores.Sum() - (Output - BaselineOutput);
}

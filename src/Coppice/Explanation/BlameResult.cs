using System.Collections.Immutable;
using Coppice.Evaluation;

namespace Coppice.Explanation;

/// <summary>Where the damage of compression sits.</summary>
public sealed record BlameResult
{
    /// <summary>KL(base || compressed) with everything compressed, nats a token.</summary>
    public required Estimate Kl { get; init; }

    /// <summary>The embedding, each block, the head (last norm included).</summary>
    public required ImmutableArray<Blame> Stages { get; init; }

    /// <summary>Each matrix of each block; empty where not asked for.</summary>
    public required ImmutableArray<Blame> Matrices { get; init; }

    /// <summary>How many windows were compared: the errors are over these.</summary>
    public required int Windows { get; init; }

    /// <summary>How many tokens they hold.</summary>
    public required int Tokens { get; init; }
}

/// <summary>What one part does to KL(base || model), in nats a token.</summary>
/// <param name="Name"><c>embedding</c>, <c>block 3</c>, <c>head</c>.</param>
/// <param name="Block">The block's number from 0, or null outside the blocks.</param>
/// <param name="Matrix">The matrix' name in the checkpoint (<c>self_attn.q_proj</c>), or null for a whole stage.</param>
/// <param name="Removed">The KL that goes away when the compressed model gets this part back from the base.</param>
/// <param name="Added">The KL that comes when the base gets this part alone from the compressed model.</param>
public sealed record Blame(string Name, int? Block, string? Matrix, Estimate Removed, Estimate Added);

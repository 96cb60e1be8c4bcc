using System.Collections.Immutable;

namespace Coppice.Federation.Recipes;

/// <summary>How clients take part in a recipe.</summary>
public sealed record FleetOptions
{
    /// <summary>Tokens of its text that each client gathers statistics on, at most.</summary>
    public int CalibrationTokens { get; init; } = 16_384;

    /// <summary>Tokens of a window; no more than the model's context.</summary>
    public int ContextLength { get; init; } = 512;

    /// <summary>Draws windows, and dropouts.</summary>
    public int Seed { get; init; }

    /// <summary>The share of exchanges in which a client does not answer (simulation).</summary>
    public double Dropout { get; init; }

    /// <summary>How steps that train do so: rounds are counted from the step's tokens, and the step says how a client trains.</summary>
    public FederatedOptions Training { get; init; } = new();
}

/// <summary>What passed between server and clients over a recipe.</summary>
/// <param name="Steps">How often clients were asked.</param>
/// <param name="BytesUp">Lengths of all messages from clients.</param>
/// <param name="BytesDown">Lengths of all messages to clients.</param>
/// <param name="Dropped">Who did not answer, when and why.</param>
public sealed record FleetTraffic(int Steps, long BytesUp, long BytesDown, ImmutableArray<string> Dropped);

using System.Collections.Immutable;
using Coppice.Federation.Widths;

namespace Coppice.Federation.Recipes;

/// <summary>What a server makes of clients' changes of low rank, B A.</summary>
public enum AdapterAveraging
{
    /// <summary>A stays as it was drawn and the mean of B is taken, which is the mean of the changes (FFA-LoRA, Sun et al. 2024).</summary>
    FrozenInputs,

    /// <summary>The mean of A and the mean of B; their product is not the mean of the changes.</summary>
    Mean,

    /// <summary>The mean of the products themselves, added to the matrices after each round (FLoRA, Wang et al. 2024).</summary>
    Stacked,
}

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

    /// <summary>The client that the result is for, whose sums count in full and on whose text alone steps train; null for a result for all.</summary>
    public string? For { get; init; }

    /// <summary>What others' sums count in a result that is for one client, 0 to 1; with 0 they are not asked.</summary>
    public double Others { get; init; }

    /// <summary>What becomes of clients' changes of low rank.</summary>
    public AdapterAveraging Adapters { get; init; }

    /// <summary>Ranks of clients' changes where they are stacked; null gives all the step's.</summary>
    public ClientRanks? Ranks { get; init; }

    /// <summary>How steps that train do so: rounds are counted from the step's tokens, and the step says how a client trains.</summary>
    public FederatedOptions Training { get; init; } = new();
}

/// <summary>What passed between server and clients over a recipe.</summary>
/// <param name="Steps">How often clients were asked.</param>
/// <param name="BytesUp">Lengths of all messages from clients.</param>
/// <param name="BytesDown">Lengths of all messages to clients.</param>
/// <param name="Dropped">Who did not answer, when and why.</param>
public sealed record FleetTraffic(int Steps, long BytesUp, long BytesDown, ImmutableArray<string> Dropped);

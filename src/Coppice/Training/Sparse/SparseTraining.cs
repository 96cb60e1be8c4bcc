using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Training.Sparse;

/// <summary>How a run prunes while it trains. At its end <see cref="Sparsity"/> of each matrix is 0.</summary>
public abstract record SparseTraining
{
    /// <summary>Every method with its defaults, by the name that commands and recipes have for it.</summary>
    public static IReadOnlyList<(string Name, SparseTraining Method)> Named { get; } =
    [
        ("gradual", new GradualMagnitude()), ("movement", new Movement()), ("rigl", new RigL()), ("l1", new Proximal()),
        ("rows", new Proximal { Groups = PenaltyGroups.Rows }), ("columns", new Proximal { Groups = PenaltyGroups.Columns }), ("rounds", new IterativePruning()),
    ];

    /// <summary>Its name.</summary>
    public string Name => Named.First(named => named.Method.GetType() == GetType() && (named.Method as Proximal)?.Groups == (this as Proximal)?.Groups).Name;

    /// <summary>The share of each matrix that goes, above 0 and below 1.</summary>
    public double Sparsity { get; init; } = 0.5;

    /// <summary>Steps between changes of the masks.</summary>
    public int Every { get; init; } = 100;

    /// <summary>The share of a run's steps after which masks change no more, so that the rest trains what is left.</summary>
    public double End { get; init; } = 0.75;

    /// <summary>Which products, told as a recipe's targets are; none means all of the blocks.</summary>
    public ImmutableArray<string> Targets { get; init; } = [];

    /// <summary>What does it, for the parameters at these places of the optimizer's, each of which has a mask.</summary>
    internal abstract Pruner Create(Optimizer optimizer, IReadOnlyList<int> pruned, TrainingOptions options);

    /// <summary>The first step, 0-based, at which masks change no more.</summary>
    internal int LastChange(int steps) => Math.Clamp((int)Math.Round(End * steps), 0, steps - 1);

    /// <summary>How many of <paramref name="count"/> numbers stay at a sparsity.</summary>
    internal static int Kept(int count, double sparsity) => count - (int)Math.Round(count * sparsity, MidpointRounding.ToEven);

    /// <summary>Throws with the first option that cannot be.</summary>
    internal virtual void Validate(int steps)
    {
        Check(Sparsity is > 0 and < 1, "sparsity", Sparsity, "above 0 and below 1");
        Check(Every >= 1, "steps between changes of the masks", Every, "1 or more");
        Check(End is >= 0 and <= 1, "end", End, "0 to 1");
    }

    private protected static void Check(bool right, string name, double value, string wanted)
    {
        if (!right)
            throw new CoppiceException($"Pruning in training: {name} is {value}, wanted {wanted}");
    }
}

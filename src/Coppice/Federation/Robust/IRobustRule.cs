namespace Coppice.Federation.Robust;

/// <summary>Makes one delta of many, some of which may be anything. Needs every single update, so that secure aggregation cannot go with it.</summary>
public interface IRobustRule
{
    /// <summary>The name on the command line, its parameters included.</summary>
    string Name { get; }

    /// <summary>The delta that stands for all. It does not depend on the order of <paramref name="deltas"/>, of which there is at least one.</summary>
    /// <exception cref="Tensors.CoppiceException">There are too few for what the rule promises.</exception>
    ParameterSet Combine(IReadOnlyList<WeightedUpdate> deltas);
}

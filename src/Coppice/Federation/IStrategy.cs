namespace Coppice.Federation;

/// <summary>A client's decoded update and its weight.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Samples">Training windows in its text.</param>
/// <param name="Values">Weights or a delta, as the codec says.</param>
public sealed record WeightedUpdate(string Client, int Samples, ParameterSet Values);

/// <summary>Which clients take part, and what becomes of their updates. Both are pure functions of their arguments.</summary>
public interface IStrategy
{
    /// <summary>The name on the command line.</summary>
    string Name { get; }

    /// <summary>Chooses <paramref name="count"/> of the clients for a round.</summary>
    IReadOnlyList<string> Select(IReadOnlyList<string> clients, int count, int round, int seed);

    /// <summary>The next model. The result does not depend on the order of <paramref name="updates"/>, of which there is at least one.</summary>
    ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates);
}

using Coppice.Federation.Widths;

namespace Coppice.Federation;

/// <summary>A client's decoded update and its weight.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Samples">Training windows in its text.</param>
/// <param name="Values">Weights, a delta or a mask, as the codec says.</param>
/// <param name="Staleness">How many times the model changed since the client got it; 0 in rounds that wait for their clients.</param>
public sealed record WeightedUpdate(string Client, int Samples, ParameterSet Values, int Staleness = 0)
{
    /// <summary>The part of the model that the values are of; null where they are of all.</summary>
    public SubModel? Part { get; init; }
}

/// <summary>What a strategy knows of a round besides its updates.</summary>
/// <param name="ClientCount">Clients in the run.</param>
/// <param name="Answered">Clients whose updates go into this step, also where a robust rule or noise made one of them.</param>
/// <param name="RateSum">Local learning rates of the round's steps, added up.</param>
/// <param name="State">What <see cref="IStrategy.NewState"/> made, as the last round left it, to be changed in place; null where there is none.</param>
public sealed record AggregationContext(int ClientCount, int Answered, double RateSum, ParameterSet? State);

/// <summary>Which clients take part, what they do besides training, and what becomes of their updates. All are functions of their arguments alone.</summary>
public interface IStrategy
{
    /// <summary>The name on the command line, its parameters included.</summary>
    string Name { get; }

    /// <summary>mu of the local loss' mu/2 |w - received|^2 (FedProx); 0 leaves it out.</summary>
    double Proximal => 0;

    /// <summary>Whether clients correct their gradients by control variates, the server's part being the tensors <c>control.NAME</c> of <see cref="NewState"/>.</summary>
    bool UsesControl => false;

    /// <summary>What the server keeps from round to round besides the model; null where there is nothing.</summary>
    ParameterSet? NewState(ParameterSet model) => null;

    /// <summary>Chooses <paramref name="count"/> of the clients for a round.</summary>
    IReadOnlyList<string> Select(IReadOnlyList<string> clients, int count, int round, int seed);

    /// <summary>The next model. The result does not depend on the order of <paramref name="updates"/>, of which there is at least one.</summary>
    ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context);
}

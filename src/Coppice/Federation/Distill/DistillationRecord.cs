using System.Collections.Immutable;

namespace Coppice.Federation.Distill;

/// <summary>A client's part in a round of distillation.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Parameters">Numbers of its model.</param>
/// <param name="LossBefore">Mean nats a token of its model on its own held-out text, before the round's steps.</param>
/// <param name="LossAfter">The same after them.</param>
/// <param name="BytesUp">Length of its answer.</param>
public sealed record DistilledClient(string Client, long Parameters, double LossBefore, double LossAfter, long BytesUp);

/// <summary>What happened in a round of distillation.</summary>
/// <param name="Round">1-based; one more than the rounds is the end.</param>
/// <param name="Clients">Those who answered, by name.</param>
/// <param name="Dropped">Those who did not, or not what was asked.</param>
/// <param name="BytesUp">Lengths of all messages from clients.</param>
/// <param name="BytesDown">Lengths of all messages to clients.</param>
public sealed record DistillationRecord(int Round, ImmutableArray<DistilledClient> Clients, ImmutableArray<DroppedClient> Dropped, long BytesUp, long BytesDown);

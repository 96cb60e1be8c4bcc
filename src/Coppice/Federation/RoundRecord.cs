using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Coppice.Federation.Secure;

namespace Coppice.Federation;

/// <summary>A client's part in a round.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Samples">Training windows in its text: its weight.</param>
/// <param name="LossBefore">Mean nats a token of the round's model on the client's windows.</param>
/// <param name="LossAfter">The same windows after its local steps.</param>
/// <param name="Norm">2-norm of its change to the weights, as decoded.</param>
/// <param name="BytesUp">Length of its update message.</param>
/// <param name="Width">The share of the model's heads and neurons that it trained.</param>
/// <remarks>With secure aggregation nobody learns a client's samples, losses and norm: 0 and not a number.</remarks>
public sealed record ClientRecord(string Client, int Samples, [property: JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)] double LossBefore,
    [property: JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)] double LossAfter,
    [property: JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)] double Norm, long BytesUp, double Width = 1);

/// <summary>A client that was asked and has no part in the result, and why.</summary>
public sealed record DroppedClient(string Client, string Reason)
{
    /// <summary>Why all of them are gone, in one line: those with the same reason together.</summary>
    internal static string Reasons(IEnumerable<DroppedClient> dropped) => string.Join("; ", dropped
        .GroupBy(part => part.Reason.Replace($"{Federation.Client.TaskName(part.Client)}: ", "", StringComparison.Ordinal), part => $"'{part.Client}'", StringComparer.Ordinal)
        .Select(same => $"{string.Join(", ", same)} {same.Key}"));
}

/// <summary>What became of masks that clients vote on.</summary>
/// <param name="Sparsity">The share of the masked matrices' numbers that is 0 after the round.</param>
/// <param name="Went">Numbers that went.</param>
/// <param name="Came">Numbers that came back.</param>
/// <param name="VoteBytes">Bytes of all votes, within <see cref="RoundRecord.BytesUp"/>.</param>
/// <param name="MaskBytes">Bytes of the masks as they go to each client of the next round.</param>
public sealed record MaskRecord(double Sparsity, long Went, long Came, long VoteBytes, long MaskBytes);

/// <summary>What happened in a round.</summary>
/// <param name="Round">1-based.</param>
/// <param name="Clients">Those whose updates were averaged, by name.</param>
/// <param name="Dropped">Those that did not answer, failed, or were refused.</param>
/// <param name="BytesUp">Lengths of all messages from clients, refused ones included.</param>
/// <param name="BytesDown">Lengths of all messages to clients.</param>
/// <param name="Float32BytesUp">What the same messages would hold with 4 bytes a number, without any framing.</param>
/// <param name="Float32BytesDown">The same for messages to clients.</param>
/// <param name="LossBefore">Mean nats a token of the round's model over its clients' windows, weighted by samples; not a number where no client took part.</param>
/// <param name="LossAfter">The same of each client's own model after its local steps.</param>
/// <param name="Seconds">Wall-clock time; of a simulated world its own.</param>
/// <param name="Epsilon">What all rounds up to this one cost in privacy, at the run's delta; null without a privacy mechanism.</param>
/// <param name="Secure">What there is to say of secure aggregation; null without.</param>
/// <param name="Lost">Why the round has no result, and its model is the one before; null where it has one.</param>
/// <param name="Masks">What became of masks; null where none change.</param>
public sealed record RoundRecord(int Round, ImmutableArray<ClientRecord> Clients, ImmutableArray<DroppedClient> Dropped, long BytesUp, long BytesDown,
    long Float32BytesUp, long Float32BytesDown, [property: JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)] double LossBefore,
    [property: JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)] double LossAfter, double Seconds, double? Epsilon = null, SecureRecord? Secure = null, string? Lost = null, MaskRecord? Masks = null);

namespace Coppice.Report.Data;

/// <summary>One round: who took part, what travelled, and the held-out loss after it in nats a token (null where it was not measured).</summary>
public sealed record FederationRound(int Round, int Clients, int Dropped, long BytesUp, long BytesDown, double? Loss);

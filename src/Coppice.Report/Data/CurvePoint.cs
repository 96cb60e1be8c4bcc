namespace Coppice.Report.Data;

/// <summary>Losses in nats a token at a training step; the validation loss where it was measured.</summary>
public sealed record CurvePoint(long Step, double Loss, double? ValidationLoss = null);

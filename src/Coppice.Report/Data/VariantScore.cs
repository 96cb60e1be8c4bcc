using Coppice.Evaluation;

namespace Coppice.Report.Data;

/// <summary>A score and whose it is.</summary>
public sealed record VariantScore(string Variant, Score Score);

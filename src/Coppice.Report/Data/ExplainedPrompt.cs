using Coppice.Explanation;

namespace Coppice.Report.Data;

/// <summary>A prompt's attributions with the text of each of its tokens and of the target.</summary>
public sealed record ExplainedPrompt(IReadOnlyList<string> TokenTexts, string TargetText, string CompressedName, AttributionPair Pair);

using Coppice.Evaluation;

namespace Coppice.Report.Data;

/// <summary>A token read by both models, with the text of the three ids that its record names.</summary>
public sealed record ComparedToken(TokenComparison Record, string Text, string BaseTopText, string CompressedTopText);

/// <summary>A text, token by token.</summary>
public sealed record ComparedText(string Title, string CompressedName, IReadOnlyList<ComparedToken> Tokens);

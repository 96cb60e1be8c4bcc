namespace Coppice.Evaluation;

/// <summary>How scoring uses the machine. Nothing here changes a score.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Windows are read together up to this many tokens; a longer window is read alone.</summary>
    public int TokensPerPass { get; init; } = 1024;

    /// <summary>Logits of this many tokens are held at once.</summary>
    public int LogitRows { get; init; } = 256;
}

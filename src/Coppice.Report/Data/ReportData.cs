using Coppice.Evaluation;
using Coppice.Explanation;

namespace Coppice.Report.Data;

/// <summary>Everything a report shows. What is left empty has no section.</summary>
public sealed record ReportData
{
    /// <summary>The heading.</summary>
    public required string Title { get; init; }

    /// <summary>One paragraph in plain words: what was done, what came out, at what cost.</summary>
    public required string Summary { get; init; }

    /// <summary>The models, the base first.</summary>
    public IReadOnlyList<Variant> Variants { get; init; } = [];

    /// <summary>Rounds of federated training, in order.</summary>
    public IReadOnlyList<FederationRound> Rounds { get; init; } = [];

    /// <summary>The loss while training, in order of steps.</summary>
    public IReadOnlyList<CurvePoint> Training { get; init; } = [];

    /// <summary>What became of each matrix.</summary>
    public IReadOnlyList<CompressedLayer> Layers { get; init; } = [];

    /// <summary>Texts read by base and compressed in lockstep.</summary>
    public IReadOnlyList<ComparedText> Texts { get; init; } = [];

    /// <summary>Prompts whose next token was explained in both models.</summary>
    public IReadOnlyList<ExplainedPrompt> Prompts { get; init; } = [];

    /// <summary>How far the explanations agree.</summary>
    public AgreementResult? Agreement { get; init; }

    /// <summary>Which parts cause the damage.</summary>
    public BlameResult? Blame { get; init; }

    /// <summary>How stored weights differ from the base's.</summary>
    public WeightErrorResult? Errors { get; init; }

    /// <summary>Every score with exactly what was measured.</summary>
    public IReadOnlyList<VariantScore> Scores { get; init; } = [];

    /// <summary>Files that were written.</summary>
    public IReadOnlyList<Artifact> Artifacts { get; init; } = [];

    /// <summary>How it was made.</summary>
    public RunFacts? Run { get; init; }
}

using Coppice.Evaluation;

namespace Coppice.Report.Data;

/// <summary>One model of the comparison.</summary>
public sealed record Variant
{
    /// <summary>What the reader calls it: <c>base</c>, <c>int4 GPTQ</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Bytes stored.</summary>
    public required long Bytes { get; init; }

    /// <summary>Stored bits a parameter.</summary>
    public required double BitsPerWeight { get; init; }

    /// <summary>Bits a byte of held-out text.</summary>
    public Estimate? BitsPerByte { get; init; }

    /// <summary>KL(base || this), nats a token; null for the base.</summary>
    public Estimate? Kl { get; init; }

    /// <summary>Share of tokens where base and this think the same one likeliest, 0 to 1; null for the base.</summary>
    public Estimate? Top1Agreement { get; init; }

    /// <summary>Generation.</summary>
    public Estimate? TokensPerSecond { get; init; }
}

using Coppice.Report.Data;

namespace Coppice.Cli.Quickstart;

/// <summary>What the story ended in.</summary>
sealed record QuickstartResult(IReadOnlyList<(string Name, double Seconds)> Steps, IReadOnlyList<Variant> Variants, string Report, IReadOnlyList<Artifact> Artifacts);

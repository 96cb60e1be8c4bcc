namespace Coppice.Report.Data;

/// <summary>What it takes to run it again.</summary>
/// <param name="Commands">Command lines, in order.</param>
/// <param name="Facts">Names and values: version, seeds, hashes of model, tokenizer and texts, machine, time taken.</param>
public sealed record RunFacts(IReadOnlyList<string> Commands, IReadOnlyList<(string Name, string Value)> Facts);

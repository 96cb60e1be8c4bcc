using System.Text.RegularExpressions;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>What the families of mixtures have in common in GGUF: the experts' matrices of a kind in one tensor, and the keys of their numbers.</summary>
static partial class Experts
{
    /// <summary>Where GGUF keeps a tensor of ours, which may be one expert's; the others as <paramref name="plain"/> says.</summary>
    public static TensorPlace InGguf(string name, DecoderConfig config, Func<string, TensorPlace> plain)
    {
        // A vector in GGUF.
        if (name.EndsWith(".shared_expert_gate.weight", StringComparison.Ordinal))
            return plain(name) with { StoredShape = [config.HiddenSize] };
        Match match = Expert().Match(name);
        if (!match.Success || config.Experts is not { } experts)
            return plain(name);
        string kind = match.Groups["kind"].Value;
        int expert = int.Parse(match.Groups["expert"].ValueSpan), rows = kind == "down" ? config.HiddenSize : experts.Width, columns = kind == "down" ? experts.Width : config.HiddenSize;
        return new TensorPlace($"blk.{match.Groups["layer"].Value}.ffn_{kind}_exps.weight").Part(expert * rows, rows, experts.Count * rows) with { StoredShape = [experts.Count, rows, columns] };
    }

    /// <summary>How many experts an architecture's file has; 0 where it has none.</summary>
    public static int Count(Gguf file, string prefix) => file.Get(prefix + "expert_count", 0);

    /// <summary>The keys of a file; llama.cpp takes shares as <paramref name="shares"/> says, and has experts in every layer.</summary>
    /// <exception cref="CoppiceException">It would compute another model.</exception>
    public static IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config, string prefix, ExpertShares shares)
    {
        ExpertOptions experts = config.Experts!;
        if (experts.Shares != shares)
            throw new CoppiceException($"llama.cpp takes experts' shares of {(shares == ExpertShares.All ? "all experts" : "the chosen ones")} in {config.Family} models, this model of {(shares == ExpertShares.All ? "the chosen ones" : "all")}");
        if (Enumerable.Range(0, config.LayerCount).FirstOrDefault(layer => !experts.Has(layer), -1) is >= 0 and int plain)
            throw new CoppiceException($"llama.cpp has experts in every layer of a {config.Family} model, this model none in layer {plain}");
        yield return new(prefix + "expert_count", (uint)experts.Count);
        yield return new(prefix + "expert_used_count", (uint)experts.Chosen);
    }

    /// <summary>Whether a matrix of ours chooses experts: llama.cpp keeps those as float32.</summary>
    public static bool IsRouter(string name) => name.EndsWith(".mlp.gate", StringComparison.Ordinal) || name.EndsWith(".mlp.shared_expert_gate", StringComparison.Ordinal);

    [GeneratedRegex(@"^model\.layers\.(?<layer>\d+)\.mlp\.experts\.(?<expert>\d+)\.(?<kind>gate|up|down)_proj\.weight$")]
    private static partial Regex Expert();
}

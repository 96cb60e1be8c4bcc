using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Evaluation;

/// <summary>What scores by references have in common.</summary>
static class References
{
    public static void Check(string metric, IReadOnlyList<string> translations, IReadOnlyList<IReadOnlyList<string>> references)
    {
        if (translations.Count == 0)
            throw new CoppiceException($"{metric}: no translations");
        if (translations.Count != references.Count)
            throw new CoppiceException($"{metric}: {translations.Count:N0} translations and references of {references.Count:N0}");
        foreach ((int i, IReadOnlyList<string> segment) in references.Index())
            if (segment.Count == 0)
                throw new CoppiceException($"{metric}: translation {i + 1} has no reference");
    }

    /// <summary>How many references a segment has, and their hash.</summary>
    public static string Signature(IReadOnlyList<IReadOnlyList<string>> references)
    {
        int[] counts = [.. references.Select(segment => segment.Count).Distinct()];
        byte[] text = Encoding.UTF8.GetBytes(string.Join('\n', references.SelectMany(segment => segment.Select(reference => $"{reference.Length}:{reference}"))));
        return $"references={Convert.ToHexStringLower(SHA256.HashData(text))[..12]}|nrefs:{(counts.Length == 1 ? counts[0].ToString(CultureInfo.InvariantCulture) : "var")}";
    }
}

using System.Text;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Report.Data;
using Coppice.Text;

namespace Coppice.Cli;

/// <summary>Results of the library as parts of a report.</summary>
static class ReportParts
{
    const int FewestTokens = 40, MostTokens = 90;

    public static Estimate Estimate(Score score) => new(score.Value, score.StandardError, score.Samples);

    public static IReadOnlyList<CompressedLayer> Layers(CompressionReport report) =>
        [.. report.Layers.Select(layer => new CompressedLayer(layer.Name, layer.Kind, layer.BitsPerWeight, layer.Sparsity, layer.OutputError ?? layer.WeightError))];

    /// <summary>A document of readable length, token by token: the one with the most damage of the first that are long enough.</summary>
    public static ComparedText Compared(EvaluationText text, Comparison comparison, Tokenizer tokenizer, string compressedName)
    {
        List<int> candidates = [.. Enumerable.Range(0, text.Documents.Count).Where(i => text.Documents[i].Ids.Length is >= FewestTokens and <= MostTokens).Take(20)];
        if (candidates.Count == 0)
            candidates.Add(Enumerable.Range(0, text.Documents.Count).MaxBy(i => Math.Min(text.Documents[i].Ids.Length, MostTokens)));
        int document = candidates.MaxBy(i => comparison.TokensOf(i).Average(token => token.Kl));
        return new ComparedText(text.Documents[document].Source, compressedName, [.. comparison.TokensOf(document).Take(MostTokens).Select(token =>
            new ComparedToken(token, Spell(tokenizer, token.Id), Spell(tokenizer, token.BaseTop), Spell(tokenizer, token.CompressedTop)))]);
    }

    public static ExplainedPrompt Explained(AttributionPair pair, Tokenizer tokenizer, string compressedName) =>
        new([.. pair.Base.Tokens.Select(id => Spell(tokenizer, id))], Spell(tokenizer, pair.Base.Target), compressedName, pair);

    /// <summary>A token's own text; a control token's name.</summary>
    public static string Spell(Tokenizer tokenizer, int id)
    {
        ReadOnlySpan<byte> bytes = tokenizer.Bytes(id);
        return bytes.IsEmpty ? tokenizer.Token(id) : Encoding.UTF8.GetString(bytes);
    }
}

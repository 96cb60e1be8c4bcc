using System.Text;

namespace Coppice.Evaluation;

/// <summary>
/// chrF2 of a corpus (Popovic 2015), as sacreBLEU defines it: (1 + 4) P R / (4 P + R), P and R being means over n = 1..6 of the shares of all translations' character n-grams that match, and of all references' that are matched, over the
/// orders that both have. Blanks do not count. Of several references a segment counts the one that gives it the highest score.
/// </summary>
public static class ChrF
{
    const int Orders = 6, BetaSquared = 4;

    /// <summary>Scores translations, 0 to 100, with the bootstrap error over segments; the same number of references, one or more, for each.</summary>
    /// <exception cref="Tensors.CoppiceException">There are no translations, their number is not that of the references, or a translation has no reference.</exception>
    public static (Score Score, Interval Interval95) Measure(IReadOnlyList<string> translations, IReadOnlyList<IReadOnlyList<string>> references, Random random)
    {
        References.Check("chrF", translations, references);
        long[][] segments = [.. translations.Zip(references, Best)];
        (double error, Interval interval) = Bootstrap.Measure(segments, Of, random);
        return (new Score("chrf", Of(Bootstrap.Sum(segments)), error, segments.Length, Signature(references)), interval);
    }

    /// <summary>How much higher translations score than others of the same texts, with the paired bootstrap error over segments (Koehn 2004).</summary>
    /// <exception cref="Tensors.CoppiceException">As above, for either.</exception>
    public static (Score Difference, Interval Interval95) Compare(IReadOnlyList<string> translations, IReadOnlyList<string> others, IReadOnlyList<IReadOnlyList<string>> references, Random random)
    {
        References.Check("chrF", translations, references);
        References.Check("chrF", others, references);
        (double difference, double error, Interval interval) = Bootstrap.Pair([.. translations.Zip(references, Best)], [.. others.Zip(references, Best)], Of, random);
        return (new Score("deltaChrf", difference, error, translations.Count, Signature(references)), interval);
    }

    static string Signature(IReadOnlyList<IReadOnlyList<string>> references) => $"{References.Signature(references)}|case:mixed|eff:yes|nc:6|nw:0|space:no";

    // Three numbers an order: n-grams of the translation, of the reference, and of both.
    static double Of(long[] sum)
    {
        double precision = 0, recall = 0;
        int orders = 0;
        for (int n = 0; n < Orders; n++)
            if (sum[3 * n] > 0 && sum[3 * n + 1] > 0)
            {
                precision += (double)sum[3 * n + 2] / sum[3 * n];
                recall += (double)sum[3 * n + 2] / sum[3 * n + 1];
                orders++;
            }
        // Sums over orders in place of means: one of the two divisions is left.
        return precision + recall > 0 ? 100 * (1 + BetaSquared) * precision * recall / (BetaSquared * precision + recall) / orders : 0;
    }

    static long[] Best(string translation, IReadOnlyList<string> references)
    {
        string[] own = Characters(translation);
        return references.Select(reference => Count(own, Characters(reference))).MaxBy(Of)!;
    }

    static long[] Count(string[] translation, string[] reference)
    {
        long[] counts = new long[3 * Orders];
        for (int n = 0; n < Orders; n++)
        {
            Dictionary<string, int> own = Grams(translation, n + 1), others = Grams(reference, n + 1);
            // A translation's n-grams count where the reference is long enough to have some.
            counts[3 * n] = others.Count > 0 ? own.Values.Sum() : 0;
            counts[3 * n + 1] = others.Values.Sum();
            counts[3 * n + 2] = own.Sum(gram => Math.Min(gram.Value, others.GetValueOrDefault(gram.Key)));
        }
        return counts;
    }

    static string[] Characters(string text) => [.. text.EnumerateRunes().Where(rune => !Rune.IsWhiteSpace(rune)).Select(rune => rune.ToString())];

    static Dictionary<string, int> Grams(string[] characters, int n)
    {
        Dictionary<string, int> grams = new(StringComparer.Ordinal);
        for (int i = 0; i + n <= characters.Length; i++)
        {
            string gram = string.Concat(characters.AsSpan(i, n));
            grams[gram] = grams.GetValueOrDefault(gram) + 1;
        }
        return grams;
    }
}

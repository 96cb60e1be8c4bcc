using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Evaluation;

/// <summary>What becomes of an order of which no n-gram matches.</summary>
public enum BleuSmoothing
{
    /// <summary>Its precision is 1 / (2^k total), k counting such orders (NIST's; method 3 of Chen and Cherry 2014).</summary>
    Exponential,

    /// <summary>Its precision is 0, and so is the score.</summary>
    None,
}

/// <summary>How good translations are by their references.</summary>
/// <param name="Bleu">0 to 100, with its bootstrap error over segments.</param>
/// <param name="Interval95">Where the score is in 95 of 100 resamples.</param>
/// <param name="Precisions">Of 1- to 4-grams, 0 to 100, smoothed.</param>
/// <param name="BrevityPenalty">0 to 1.</param>
/// <param name="Words">Of the translations.</param>
/// <param name="ReferenceWords">Of the references: of each segment's, those nearest in length.</param>
public sealed record BleuScores(Score Bleu, Interval Interval95, ImmutableArray<double> Precisions, double BrevityPenalty, long Words, long ReferenceWords);

/// <summary>
/// BLEU of a corpus (Papineni et al. 2002), as sacreBLEU defines it (Post 2018): exp(mean of ln p_n over n = 1..4) times min(1, exp(1 - r / h)), p_n being the share of all translations' n-grams that a reference has,
/// each at most as often as the reference that has it most, h the translations' words, r those of the references nearest in length, words as mteval-v13a cuts them.
/// </summary>
public static class Bleu
{
    const int Orders = 4;

    // Words and reference words, then by order what matches, then what there is.
    const int Matches = 2, Totals = Matches + Orders;

    /// <summary>Scores translations; the same number of references, one or more, for each.</summary>
    /// <exception cref="CoppiceException">There are no translations, their number is not that of the references, or a translation has no reference.</exception>
    public static BleuScores Measure(IReadOnlyList<string> translations, IReadOnlyList<IReadOnlyList<string>> references, Random random, BleuSmoothing smoothing = BleuSmoothing.Exponential)
    {
        References.Check("BLEU", translations, references);
        long[][] segments = [.. translations.Zip(references, Count)];
        long[] sum = Bootstrap.Sum(segments);
        double[] precisions = new double[Orders];
        double score = Of(sum, smoothing, precisions);
        (double error, Interval interval) = Bootstrap.Measure(segments, resample => Of(resample, smoothing, new double[Orders]), random);
        return new BleuScores(new Score("bleu", score, error, segments.Length, Signature(references, smoothing)), interval, [.. precisions], Penalty(sum[0], sum[1]), sum[0], sum[1]);
    }

    /// <summary>How much higher translations score than others of the same texts, with the paired bootstrap error over segments (Koehn 2004).</summary>
    /// <exception cref="CoppiceException">As above, for either.</exception>
    public static (Score Difference, Interval Interval95) Compare(IReadOnlyList<string> translations, IReadOnlyList<string> others, IReadOnlyList<IReadOnlyList<string>> references, Random random, BleuSmoothing smoothing = BleuSmoothing.Exponential)
    {
        References.Check("BLEU", translations, references);
        References.Check("BLEU", others, references);
        (double difference, double error, Interval interval) = Bootstrap.Pair([.. translations.Zip(references, Count)], [.. others.Zip(references, Count)], sum => Of(sum, smoothing, new double[Orders]), random);
        return (new Score("deltaBleu", difference, error, translations.Count, Signature(references, smoothing)), interval);
    }

    static string Signature(IReadOnlyList<IReadOnlyList<string>> references, BleuSmoothing smoothing) =>
        $"{References.Signature(references)}|case:mixed|eff:no|tok:13a|smooth:{(smoothing == BleuSmoothing.Exponential ? "exp" : "none")}";

    static double Penalty(long words, long referenceWords) => words >= referenceWords ? 1 : words == 0 ? 0 : Math.Exp(1 - (double)referenceWords / words);

    static double Of(long[] sum, BleuSmoothing smoothing, Span<double> precisions)
    {
        precisions.Clear();
        if (sum.AsSpan(Matches, Orders).IndexOfAnyExcept(0) < 0)
            return 0;
        double logs = 0, divisor = 1;
        for (int n = 0; n < Orders; n++)
        {
            (long match, long total) = (sum[Matches + n], sum[Totals + n]);
            if (match == 0 && total > 0 && smoothing == BleuSmoothing.Exponential)
                divisor *= 2;
            precisions[n] = total == 0 ? 0 : match > 0 ? 100.0 * match / total : smoothing == BleuSmoothing.Exponential ? 100 / (divisor * total) : 0;
            logs += Math.Log(precisions[n]);
        }
        return Penalty(sum[0], sum[1]) * Math.Exp(logs / Orders);
    }

    static long[] Count(string translation, IReadOnlyList<string> references)
    {
        string[] words = Tokenizer13a.Split(translation);
        string[][] others = [.. references.Select(Tokenizer13a.Split)];
        long[] counts = new long[Totals + Orders];
        counts[0] = words.Length;
        counts[1] = others.Select(other => other.Length).OrderBy(length => Math.Abs(length - words.Length)).ThenBy(length => length).First();
        for (int n = 1; n <= Orders; n++)
        {
            Dictionary<string, int> most = new(StringComparer.Ordinal);
            foreach (string[] other in others)
                foreach ((string gram, int count) in Grams(other, n))
                    most[gram] = Math.Max(most.GetValueOrDefault(gram), count);
            foreach ((string gram, int count) in Grams(words, n))
            {
                counts[Totals + n - 1] += count;
                counts[Matches + n - 1] += Math.Min(count, most.GetValueOrDefault(gram));
            }
        }
        return counts;
    }

    // No word holds a space.
    static Dictionary<string, int> Grams(string[] words, int n)
    {
        Dictionary<string, int> grams = new(StringComparer.Ordinal);
        for (int i = 0; i + n <= words.Length; i++)
        {
            string gram = string.Join(' ', words, i, n);
            grams[gram] = grams.GetValueOrDefault(gram) + 1;
        }
        return grams;
    }
}

using System.Numerics.Tensors;
using MathNet.Numerics.Statistics;

namespace Coppice.Explanation;

/// <summary>How alike two attributions of the same tokens are.</summary>
/// <param name="Spearman">Correlation of the scores' ranks, -1 to 1.</param>
/// <param name="TopJaccard">The tokens that both have among their strongest, over those that either has, 0 to 1.</param>
/// <param name="Cosine">Of the scores as vectors, -1 to 1.</param>
public readonly record struct Agreement(double Spearman, double TopJaccard, double Cosine)
{
    /// <summary>Compares scores token by token; the strongest are the <paramref name="top"/> of largest magnitude, earlier tokens first among equals.</summary>
    public static Agreement Between(Attribution left, Attribution right, int top)
    {
        if (!left.Tokens.AsSpan().SequenceEqual(right.Tokens.AsSpan()))
            throw new ArgumentException($"Agreement: attributions of {left.Tokens.Length} and {right.Tokens.Length} tokens that are not the same tokens");
        return Between(left.Scores.AsSpan(), right.Scores.AsSpan(), top);
    }

    /// <summary>Compares two runs of scores; scores without any variation agree with nothing (0).</summary>
    internal static Agreement Between(ReadOnlySpan<double> left, ReadOnlySpan<double> right, int top)
    {
        HashSet<int> strongest = Strongest(left, top), others = Strongest(right, top);
        int shared = strongest.Count(others.Contains);
        return new Agreement(
            Defined(Correlation.Spearman(left.ToArray(), right.ToArray())),
            (double)shared / (strongest.Count + others.Count - shared),
            Defined(TensorPrimitives.CosineSimilarity(left, right)));
    }

    static double Defined(double value) => double.IsNaN(value) ? 0 : value;

    static HashSet<int> Strongest(ReadOnlySpan<double> scores, int top)
    {
        double[] magnitudes = scores.ToArray().Select(Math.Abs).ToArray();
        return [.. Enumerable.Range(0, scores.Length).OrderByDescending(i => magnitudes[i]).Take(Math.Max(1, top))];
    }
}

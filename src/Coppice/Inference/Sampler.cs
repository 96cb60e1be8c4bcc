using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>Draws a token from logits. Allocates nothing after it is made. Not thread-safe.</summary>
public sealed class Sampler
{
    readonly SamplingOptions options;
    readonly Random? random;
    readonly double[] weights;
    readonly int[] ids;
    double[] distribution = [];

    /// <summary>The likeliest token always; of equals the one with the smallest id.</summary>
    public Sampler() : this(0, new SamplingOptions(), null) { }

    /// <summary>Draws as <paramref name="options"/> say, one number of <paramref name="random"/> a token (none when greedy).</summary>
    /// <exception cref="CoppiceException">A setting lies outside its range.</exception>
    public Sampler(int vocabulary, SamplingOptions options, Random? random)
    {
        options.Validate();
        if (options.Temperature > 0 && random is null)
            throw new ArgumentNullException(nameof(random), $"Sampler: temperature {options.Temperature} draws at random");
        (this.options, this.random) = (options, random);
        int room = options.Temperature > 0 ? vocabulary : 0;
        (weights, ids) = (new double[room], new int[room]);
    }

    /// <summary>Whether it takes the likeliest token always.</summary>
    public bool IsGreedy => options.Temperature == 0;

    /// <summary>The next token for logits [vocabulary].</summary>
    /// <exception cref="CoppiceException">A logit is NaN, or none is finite.</exception>
    public int Next(ReadOnlySpan<float> logits)
    {
        int best = Likeliest(logits);
        return IsGreedy ? best : Draw(Keep(logits, logits[best]));
    }

    /// <summary>The next token, and the probabilities [vocabulary] that it was drawn by. Not for a greedy sampler.</summary>
    internal int Next(ReadOnlySpan<float> logits, Span<double> probabilities)
    {
        int kept = Keep(logits, logits[Likeliest(logits)]);
        Spread(kept, probabilities);
        return Draw(kept);
    }

    /// <summary>
    /// Takes a token x that was drawn by the probabilities q, or draws another in its stead, so that what comes out has the distribution p of these
    /// logits: x with probability min(1, p(x) / q(x)), else one by max(0, p - q) (Leviathan et al. 2023, theorem 1). Not for a greedy sampler.
    /// </summary>
    internal int Check(ReadOnlySpan<float> logits, ReadOnlySpan<double> q, int x)
    {
        if (distribution.Length != logits.Length)
            distribution = new double[logits.Length];
        Spread(Keep(logits, logits[Likeliest(logits)]), distribution);
        if (random!.NextDouble() * q[x] < distribution[x])
            return x;
        for (int i = 0; i < distribution.Length; i++)
            (weights[i], ids[i]) = (Math.Max(0, distribution[i] - q[i]), i);
        return Draw(distribution.Length);
    }

    static int Likeliest(ReadOnlySpan<float> logits)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        return float.IsFinite(logits[best]) ? best : throw new CoppiceException($"Sampling: the logit of token {best} is {logits[best]}; the weights hold NaN or overflow");
    }

    // Weighs all tokens and leaves in front those that may be drawn.
    int Keep(ReadOnlySpan<float> logits, float greatest)
    {
        int kept = Weigh(logits, greatest);
        return options.TopK > 0 && options.TopK < kept || options.TopP < 1 ? Filter(kept) : kept;
    }

    void Spread(int kept, Span<double> probabilities)
    {
        probabilities.Clear();
        double total = Sum(kept);
        for (int i = 0; i < kept; i++)
            probabilities[ids[i]] = weights[i] / total;
    }

    // weights[i] = exp((logit i - greatest) / temperature), in double
    int Weigh(ReadOnlySpan<float> logits, float greatest)
    {
        if (logits.Length != weights.Length)
            throw new ArgumentException($"Sampler: {logits.Length} logits, made for {weights.Length}");
        for (int i = 0; i < logits.Length; i++)
        {
            weights[i] = Math.Exp(((double)logits[i] - greatest) / options.Temperature);
            ids[i] = i;
        }
        return logits.Length;
    }

    // Leaves the tokens that stay in front, likeliest first.
    int Filter(int count)
    {
        // A token lighter than this share of what lies outside the nucleus cannot be in it, so that few are left to sort.
        double total = Sum(count), floor = options.TopP < 1 ? (1 - options.TopP) * total / count : 0;
        int kept = 0;
        for (int i = 0; i < count; i++)
            if (weights[i] >= floor)
                (weights[kept], ids[kept++]) = (weights[i], ids[i]);
        Span<double> sorted = weights.AsSpan(0, kept);
        sorted.Sort(ids.AsSpan(0, kept));
        sorted.Reverse();
        ids.AsSpan(0, kept).Reverse();

        if (options.TopK > 0 && options.TopK < kept)
            total = Sum(kept = options.TopK);
        double reached = 0;
        for (int i = 0; i < kept; i++)
            if ((reached += weights[i]) >= options.TopP * total)
                return i + 1;
        return kept;
    }

    int Draw(int count)
    {
        double left = random!.NextDouble() * Sum(count);
        for (int i = 0; i < count; i++)
            if ((left -= weights[i]) < 0)
                return ids[i];
        // The sum rounded up past the last token: the last that has any weight.
        int last = count - 1;
        while (weights[last] == 0)
            last--;
        return ids[last];
    }

    double Sum(int count)
    {
        double sum = 0;
        foreach (double weight in weights.AsSpan(0, count))
            sum += weight;
        return sum;
    }
}

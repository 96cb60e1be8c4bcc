using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>A change from one variant of a model to another.</summary>
/// <param name="Token">Tokens that were observed before it.</param>
/// <param name="From">The variant left.</param>
/// <param name="To">The variant taken.</param>
/// <param name="MedianSeconds">The median of the tokens that decided it; null where it was asked for.</param>
public sealed record PrecisionSwitch(long Token, string From, string To, double? MedianSeconds);

/// <summary>
/// A model and cheaper variants of it, in order: under load the next cheaper one serves, and back. It steps down once the median of the last tokens is above the target, and up once that median, times what the better
/// variant was slower by when it was left, would be below <see cref="Margin"/> of it, so that a switch is not taken back at once. Slower by at most what it has to read more: a load that ends just then is not held
/// against it; but each time that it has to be left again as soon as it came, twice as many tokens pass before it is tried again. Not thread-safe.
/// </summary>
public sealed class PrecisionLadder
{
    const int MostWindows = 64;

    readonly (string Name, Model Model)[] rungs;
    readonly double[] window, sorted, slower;
    readonly List<PrecisionSwitch> switches = [];
    readonly double target;
    int rung, filled, wait;
    long tokens;
    double? left;

    /// <param name="rungs">The best first. All share one cache: the same heads, blocks, vocabulary and context.</param>
    /// <param name="targetSeconds">The most that a token should take.</param>
    /// <param name="window">Tokens of which the median is taken; after a switch as many pass before the next.</param>
    /// <exception cref="CoppiceException">There are fewer than two variants, or they do not fit one cache.</exception>
    public PrecisionLadder(IReadOnlyList<(string Name, Model Model)> rungs, double targetSeconds, int window = 16)
    {
        if (rungs.Count < 2 || !(targetSeconds > 0) || window < 1)
            throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"precision ladder: {rungs.Count} variants, {targetSeconds} s a token over {window} tokens, wanted two variants or more, and more than 0"));
        foreach ((string name, Model model) in rungs.Skip(1))
            Check(rungs[0].Model, model, name);
        (this.rungs, target, wait) = ([.. rungs], targetSeconds, window);
        (this.window, sorted, slower) = (new double[window], new double[window], [.. rungs.Select((_, i) => MostSlower(i))]);
    }

    /// <summary>The share of the target that the next better variant has to be expected below.</summary>
    public double Margin { get; init; } = 0.8;

    /// <summary>The variant that serves.</summary>
    public Model Model => rungs[rung].Model;

    /// <summary>Its name.</summary>
    public string Name => rungs[rung].Name;

    /// <summary>What was switched, in order.</summary>
    public IReadOnlyList<PrecisionSwitch> Switches => switches;

    /// <summary>Takes note of how long a token took; true where <see cref="Model"/> is another one from now on.</summary>
    public bool Observe(double seconds)
    {
        window[tokens++ % window.Length] = seconds;
        if (++filled < window.Length)
            return false;
        window.CopyTo(sorted, 0);
        Array.Sort(sorted);
        double median = (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        if (left is { } before)
            slower[rung] = Math.Min(MostSlower(rung), Math.Max(1, before / median));
        left = null;
        if (median > target && rung < rungs.Length - 1)
        {
            wait = switches.Count > 0 && filled <= 2 * window.Length ? Math.Min(2 * wait, MostWindows * window.Length) : window.Length;
            Take(rung + 1, median);
            left = median;
            return true;
        }
        return rung > 0 && filled >= wait && median * slower[rung] < Margin * target && Take(rung - 1, median);
    }

    // Generation takes no longer than in proportion to the weights that it reads.
    double MostSlower(int rung) => rung == 0 ? 1 : Math.Max(1, (double)rungs[rung - 1].Model.ByteCount / rungs[rung].Model.ByteCount);

    /// <summary>Takes a variant by its name.</summary>
    /// <exception cref="CoppiceException">There is none of that name.</exception>
    public void Switch(string name)
    {
        int next = Array.FindIndex(rungs, rung => rung.Name == name);
        if (next < 0)
            throw new CoppiceException($"there is no variant '{name}'; the nearest is '{NearestName.Of(name, rungs.Select(rung => rung.Name))}'");
        if (next != rung)
            Take(next, null);
    }

    /// <summary>Throws unless one cache serves both models.</summary>
    internal static void Check(Model model, Model other, string name)
    {
        if (other.Family != model.Family || other.VocabularySize != model.VocabularySize || other.ContextLength != model.ContextLength || !other.Facts.SequenceEqual(model.Facts)
            || !other.Blocks.Select(SizeOf).SequenceEqual(model.Blocks.Select(SizeOf)))
            throw new CoppiceException($"{name}: is no variant of the model that it would stand in for; wanted the same family, blocks, heads, vocabulary and context");

        static (int, int) SizeOf(TransformerBlock block) => (block.Attention.KeyValueHeads, block.Attention.HeadWidth);
    }

    bool Take(int next, double? median)
    {
        switches.Add(new PrecisionSwitch(tokens, rungs[rung].Name, rungs[next].Name, median));
        (rung, filled, left) = (next, 0, null);
        return true;
    }
}

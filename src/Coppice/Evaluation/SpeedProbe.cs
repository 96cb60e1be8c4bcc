using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Evaluation;

/// <summary>What is timed.</summary>
public sealed record SpeedOptions
{
    /// <summary>Tokens generated in a round; at least 2.</summary>
    public int Tokens { get; init; } = 64;

    /// <summary>Rounds that are not timed: the code is compiled, memory taken, weights packed.</summary>
    public int WarmUp { get; init; } = 2;

    /// <summary>Timed rounds.</summary>
    public int Rounds { get; init; } = 5;

    /// <summary>What integer matrices round their inputs to.</summary>
    public ActivationFormat Activations { get; init; } = ActivationFormat.Int8;
}

/// <summary>How fast a model generates, on this machine, over all timed rounds.</summary>
public sealed class Speed
{
    internal Speed(IReadOnlyList<GenerationTiming> rounds)
    {
        PromptTokens = rounds[0].PromptTokens;
        FirstTokenSeconds = new Distribution(rounds.Select(round => round.FirstTokenSeconds));
        TokenSeconds = new Distribution(rounds.SelectMany(round => round.LaterSeconds));
        TokensPerSecond = new Distribution(rounds.Select(round => round.TokensPerSecond)).Median;
    }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Seconds from the prompt to the first token, a number a round.</summary>
    public Distribution FirstTokenSeconds { get; }

    /// <summary>Seconds of each later token.</summary>
    public Distribution TokenSeconds { get; }

    /// <summary>Tokens a second after the first token: the median of the rounds.</summary>
    public double TokensPerSecond { get; }
}

/// <summary>Times greedy generation of one sequence.</summary>
public static class SpeedProbe
{
    /// <summary>Times models in turn, round by round in a rotating order, so that what else the machine does falls on all alike.</summary>
    /// <returns>A result a model, in order.</returns>
    /// <exception cref="CoppiceException">Prompt and tokens do not fit a model's context.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was raised.</exception>
    public static IReadOnlyList<Speed> Measure(
        IReadOnlyList<Model> models, ReadOnlySpan<int> prompt, WorkerPool pool,
        SpeedOptions? options = null, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        options ??= new SpeedOptions();
        if (options.Tokens < 2 || options.Rounds < 1 || options.WarmUp < 0)
            throw new CoppiceException($"Speed: {options.Tokens} tokens in {options.Rounds} rounds after {options.WarmUp}, wanted at least 2 in 1 after 0");
        int length = prompt.Length + options.Tokens;
        foreach (Model model in models)
            if (length > model.ContextLength)
                throw new CoppiceException($"Speed: a prompt of {prompt.Length:N0} tokens and {options.Tokens:N0} more, the model's context holds {model.ContextLength:N0}");
        Generator[] generators = [.. models.Select(model => new Generator(model, new Sampler(), pool, capacity: length, activations: options.Activations))];
        List<GenerationTiming>[] timings = [.. models.Select(_ => new List<GenerationTiming>())];
        int rounds = options.WarmUp + options.Rounds;
        for (int round = 0; round < rounds; round++)
            for (int turn = 0; turn < generators.Length; turn++)
            {
                int i = (turn + round) % generators.Length;
                generators[i].Reset();
                GenerationTiming timing = generators[i].Generate(prompt, options.Tokens, cancel: cancel);
                if (round >= options.WarmUp)
                    timings[i].Add(timing);
                progress?.Report((double)(round * generators.Length + turn + 1) / (rounds * generators.Length));
            }
        return [.. timings.Select(rounds => new Speed(rounds))];
    }
}

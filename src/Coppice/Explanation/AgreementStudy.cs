using System.Collections.Immutable;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Explanation;

/// <summary>
/// Whether a compressed model still decides for the base's reasons: the agreement of their attributions between a floor (the base with random
/// weights) and a ceiling (the base explained again with the method's own choices changed).
/// </summary>
public sealed record AgreementStudy
{
    /// <summary>How the attributions are made.</summary>
    public IntegratedGradients Explainer { get; init; } = new();

    /// <summary>How many of the strongest tokens <see cref="Agreement.TopJaccard"/> compares.</summary>
    public int Top { get; init; } = 5;

    /// <summary>Seeds the random weights and, for the ceiling, other baseline draws.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Explains, for each prompt, the base's own next token in both models. The base's weights are swapped for noise meanwhile, so nothing else may use it.</summary>
    public AgreementResult Measure(Model baseModel, Model compressed, WorkerPool pool, IReadOnlyList<ReadOnlyMemory<int>> prompts, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        if (prompts.Count == 0)
            throw new CoppiceException("Agreement: no prompts, wanted one or more");
        List<AttributionPair> pairs = [];
        List<Agreement> measured = [], floor = [], ceiling = [];
        foreach (ReadOnlyMemory<int> prompt in prompts)
        {
            int target = NextToken(baseModel, pool, prompt.Span);
            Attribution original = Explainer.Explain(baseModel, pool, prompt.Span, target, cancel);
            Attribution after = Explainer.Explain(compressed, pool, prompt.Span, target, cancel);
            Attribution again = Repeat.Explain(baseModel, pool, prompt.Span, target, cancel);
            pairs.Add(new AttributionPair(original, after));
            measured.Add(Agreement.Between(original, after, Top));
            ceiling.Add(Agreement.Between(original, again, Top));
            progress?.Report(0.8 * pairs.Count / prompts.Count);
        }
        using (new RandomizedWeights(baseModel, Seed))
            foreach (AttributionPair pair in pairs)
            {
                Attribution noise = Explainer.Explain(baseModel, pool, pair.Base.Tokens.AsSpan(), pair.Base.Target, cancel);
                floor.Add(Agreement.Between(pair.Base, noise, Top));
            }
        progress?.Report(1);
        return new AgreementResult
        {
            Pairs = [.. pairs],
            Scores =
            [
                Scale("Spearman", one => one.Spearman),
                Scale($"Jaccard of the top {Top}", one => one.TopJaccard),
                Scale("Cosine", one => one.Cosine),
            ],
            FloorLabel = $"the base with every matrix replaced by noise of its variance (seed {Seed})",
            CeilingLabel = $"the base explained again by {Repeat}",
        };

        AgreementScore Scale(string name, Func<Agreement, double> pick) =>
            AgreementScore.From(name, [.. measured.Select(pick)], [.. floor.Select(pick)], [.. ceiling.Select(pick)]);
    }

    IntegratedGradients Repeat => Explainer.Baseline == PathBaseline.RandomTokens
        ? Explainer with { Seed = Explainer.Seed + Seed }
        : Explainer with { Steps = Math.Max(1, Explainer.Steps * 4 / 5) };

    static int NextToken(Model model, WorkerPool pool, ReadOnlySpan<int> prompt)
    {
        ReadOnlySpan<float> logits = model.ForwardLast(new Batch(prompt), new ForwardContext(pool)).Data;
        return TensorPrimitives.IndexOfMax(logits);
    }
}

using System.Collections.Immutable;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Explanation;

/// <summary>
/// Integrated gradients (Sundararajan et al. 2017) of the target's logit after the last token, along the straight line from baseline embeddings to the
/// input's, through the weights as they are stored.
/// </summary>
public sealed record IntegratedGradients
{
    /// <summary>Nodes of Gauss and Legendre's rule, 1 or more.</summary>
    public int Steps { get; init; } = 50;

    /// <summary>Where the path starts.</summary>
    public PathBaseline Baseline { get; init; } = PathBaseline.MeanEmbedding;

    /// <summary>Seeds the draw of <see cref="PathBaseline.RandomTokens"/>.</summary>
    public int Seed { get; init; }

    /// <summary>About how many tokens one pass holds: path points share a pass up to this.</summary>
    public int TokensPerPass { get; init; } = 256;

    /// <summary>Explains <paramref name="target"/>'s logit after <paramref name="tokens"/>. The model's weights must not be tracking gradients.</summary>
    public Attribution Explain(Model model, WorkerPool pool, ReadOnlySpan<int> tokens, int target, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Steps, 1);
        if (model.AllVectors().Any(part => part.Vector.RequiresGrad))
            throw new InvalidOperationException("Integrated gradients: the model is in training; drop its gradients first");
        TargetLogit logit = new(model, pool, tokens, target);
        float[] input = logit.Embed(tokens), start = Start(model, logit, tokens.Length);
        double[] numbers = new double[input.Length];
        int points = Math.Max(1, TokensPerPass / tokens.Length);
        PathIntegral.Attribute(start, input, Steps, points, Gradients, numbers);
        return new Attribution
        {
            Method = ToString(),
            Tokens = [.. tokens],
            Scores = [.. numbers.Chunk(model.Width).Select(token => token.Sum())],
            Target = target,
            Position = tokens.Length - 1,
            Output = logit.Value(input),
            BaselineOutput = logit.Value(start),
        };

        void Gradients(ReadOnlySpan<float> at, int count, Span<float> gradients)
        {
            cancel.ThrowIfCancellationRequested();
            logit.Gradients(at, count, gradients);
        }
    }

    /// <summary>The method and its options in words.</summary>
    public override string ToString() => $"integrated gradients, {Steps} steps, " + Baseline switch
    {
        PathBaseline.Zero => "zero baseline",
        PathBaseline.MeanEmbedding => "mean-embedding baseline",
        _ => $"random-token baseline (seed {Seed})",
    };

    float[] Start(Model model, TargetLogit logit, int length)
    {
        float[] start = new float[length * model.Width];
        if (Baseline == PathBaseline.Zero)
            return start;
        if (Baseline == PathBaseline.MeanEmbedding)
        {
            // Of all ids in the first place; the others differ from it by what any one id does there.
            int width = model.Width;
            float[] table = logit.EmbedFirst([.. Enumerable.Range(0, model.VocabularySize)]), same = logit.Embed(new int[length]);
            float[] mean = new float[width];
            for (int id = 0; id < model.VocabularySize; id++)
                TensorPrimitives.MultiplyAdd(table.AsSpan(id * width, width), 1f / model.VocabularySize, mean, mean);
            for (int t = 0; t < length; t++)
            {
                Span<float> own = start.AsSpan(t * width, width);
                TensorPrimitives.Subtract(same.AsSpan(t * width, width), same.AsSpan(0, width), own);
                TensorPrimitives.Add(own, mean, own);
            }
            return start;
        }
        Random random = new(Seed);
        int[] ids = new int[length];
        foreach (ref int id in ids.AsSpan())
            id = random.Next(model.VocabularySize);
        return logit.Embed(ids);
    }
}

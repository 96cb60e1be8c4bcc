using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Evaluation;

/// <summary>How well a model predicts a text.</summary>
/// <param name="NegativeLogLikelihood">Mean nats a token.</param>
/// <param name="Perplexity">e to the mean nats a token.</param>
/// <param name="BitsPerByte">Bits of all scored tokens by the bytes they stand for: compares across tokenizers.</param>
public readonly record struct PerplexityScores(Score NegativeLogLikelihood, Score Perplexity, Score BitsPerByte)
{
    /// <summary>All three.</summary>
    public IReadOnlyList<Score> Scores => [NegativeLogLikelihood, Perplexity, BitsPerByte];
}

/// <summary>Negative log-likelihood, perplexity and bits a byte of a text. Values depend on neither batch size nor threads.</summary>
public static class Perplexity
{
    /// <summary>Measures a model on a text. Progress is the share of tokens done.</summary>
    /// <exception cref="CoppiceException">The model cannot read the text, or a logit is not finite.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was raised.</exception>
    public static PerplexityScores Measure(
        Model model, EvaluationText text, WorkerPool pool, EvaluationOptions? options = null, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        options ??= new EvaluationOptions();
        double[] nats = new double[text.ScoredTokens];
        Lockstep.Read([model], text, pool, options, progress, cancel, (first, targets, logits) =>
        {
            RowJob job = new() { Logits = logits[0].Data, Targets = targets, Nats = nats.AsSpan(first), Parts = pool.Threads };
            pool.Run(job.Parts, ref job);
        });
        return Of(nats, text, options.Activations);
    }

    /// <summary>The scores of the nats of each scored token, in the windows' order.</summary>
    internal static PerplexityScores Of(ReadOnlySpan<double> nats, EvaluationText text, ActivationFormat activations)
    {
        for (int i = 0; i < nats.Length; i++)
            if (!double.IsFinite(nats[i]))
                throw new CoppiceException($"Evaluation: {text.Place(i)} has a negative log-likelihood of {nats[i]}; the weights hold NaN or overflow");
        double[] totals = text.ClusterTotals(nats, value => value);
        Estimate token = Statistics.Ratio(totals, text.ClusterTokens), octet = Statistics.Ratio(totals, text.ClusterBytes);
        double perplexity = Math.Exp(token.Value), bits = 1 / Math.Log(2);
        return new PerplexityScores(
            Score("nll", token, "token-mean"),
            Score("perplexity", Statistics.Transform(token, perplexity, perplexity), "token-mean"),
            Score("bitsPerByte", Statistics.Transform(octet, bits * octet.Value, bits), "byte-mean"));

        Score Score(string metric, Estimate estimate, string reduction) =>
            new(metric, estimate.Value, estimate.StandardError, text.ScoredTokens, text.SignatureOf(reduction, activations));
    }

    ref struct RowJob : IJob
    {
        public ReadOnlySpan<float> Logits;
        public ReadOnlySpan<int> Targets;
        public Span<double> Nats;
        public int Parts;

        public readonly void Execute(int part)
        {
            int vocabulary = Logits.Length / Targets.Length;
            for (int i = part; i < Targets.Length; i += Parts)
                Nats[i] = CrossEntropy.Row(Logits.Slice(i * vocabulary, vocabulary), Targets[i]);
        }
    }
}

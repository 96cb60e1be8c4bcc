using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Evaluation;

/// <summary>A compressed model against its base, token by token over the same windows. Every error is paired and clustered.</summary>
public sealed class Comparison
{
    readonly TokenComparison[] tokens;

    internal Comparison(TokenComparison[] tokens, EvaluationText text, ActivationFormat activations)
    {
        this.tokens = tokens;
        Base = Perplexity.Of(Array.ConvertAll(tokens, token => token.BaseNats), text, activations);
        Compressed = Perplexity.Of(Array.ConvertAll(tokens, token => token.CompressedNats), text, activations);
        for (int i = 0; i < tokens.Length; i++)
            if (double.IsNaN(tokens[i].Kl))
                throw new CoppiceException($"Evaluation: {text.Place(i)} has a KL divergence of NaN; a logit is infinite");

        Kl = Score("kl", Mean(token => token.Kl));
        KlDistribution = new Distribution(tokens.Select(token => token.Kl));
        Top1Agreement = Score("top1Agreement", Mean(token => token.IsFlip ? 0 : 1));
        CorrectnessFlips = Score("correctnessFlips", Mean(token => token.IsCorrectnessFlip ? 1 : 0));
        Estimate delta = Mean(token => token.DeltaNats);
        DeltaNll = Score("deltaNll", delta);
        DeltaNllInterval = Statistics.Interval95(delta);
        double ratio = Math.Exp(delta.Value);
        PerplexityRatio = Score("perplexityRatio", Statistics.Transform(delta, ratio, ratio));
        DeltaProbabilities = new Distribution(tokens.Select(token => token.DeltaProbability));
        Estimate square = Mean(token => token.DeltaProbability * token.DeltaProbability);
        double root = Math.Sqrt(square.Value);
        DeltaProbabilityRms = Score("deltaProbabilityRms", Statistics.Transform(square, root, root == 0 ? 0 : 0.5 / root));

        Estimate Mean(Func<TokenComparison, double> number) => Statistics.Ratio(text.ClusterTotals<TokenComparison>(tokens, number), text.ClusterTokens);
        Score Score(string metric, Estimate estimate) => new(metric, estimate.Value, estimate.StandardError, text.ScoredTokens, text.SignatureOf("token-mean", activations));
    }

    /// <summary>The base's own scores.</summary>
    public PerplexityScores Base { get; }

    /// <summary>The compressed model's own scores.</summary>
    public PerplexityScores Compressed { get; }

    /// <summary>Mean KL(base || compressed), nats a token.</summary>
    public Score Kl { get; }

    /// <summary>Its spread over tokens.</summary>
    public Distribution KlDistribution { get; }

    /// <summary>Share of tokens where both think the same one likeliest.</summary>
    public Score Top1Agreement { get; }

    /// <summary>Share of tokens that one of the two has right and the other wrong.</summary>
    public Score CorrectnessFlips { get; }

    /// <summary>Mean nats a token that compression adds: ln(perplexity ratio).</summary>
    public Score DeltaNll { get; }

    /// <summary>The paired 95% interval of <see cref="DeltaNll"/>.</summary>
    public Interval DeltaNllInterval { get; }

    /// <summary>The compressed model's perplexity by the base's.</summary>
    public Score PerplexityRatio { get; }

    /// <summary>Probability that compression adds to the right token, signed: its spread over tokens.</summary>
    public Distribution DeltaProbabilities { get; }

    /// <summary>Root mean square of that.</summary>
    public Score DeltaProbabilityRms { get; }

    /// <summary>All scores of the pair.</summary>
    public IReadOnlyList<Score> Scores => [Kl, Top1Agreement, CorrectnessFlips, DeltaNll, PerplexityRatio, DeltaProbabilityRms];

    /// <summary>Every scored token, in the windows' order.</summary>
    public IReadOnlyList<TokenComparison> Tokens => tokens;

    /// <summary>The scored tokens of one document, in order.</summary>
    public IEnumerable<TokenComparison> TokensOf(int document) => tokens.Where(token => token.Document == document);

    /// <summary>Runs both models over a text in lockstep; only numbers a token are kept. Progress is the share of tokens done.</summary>
    /// <exception cref="CoppiceException">A model cannot read the text, their vocabularies differ, or a logit is not finite.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was raised.</exception>
    public static Comparison Measure(
        Model baseModel, Model compressed, EvaluationText text, WorkerPool pool,
        EvaluationOptions? options = null, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        int vocabulary = baseModel.VocabularySize;
        if (compressed.VocabularySize != vocabulary)
            throw new CoppiceException($"Comparison: the base has a vocabulary of {vocabulary:N0}, the compressed model of {compressed.VocabularySize:N0}: only models of one vocabulary compare");
        options ??= new EvaluationOptions();
        TokenComparison[] tokens = Positions(text);
        double[] scratch = new double[2 * vocabulary * pool.Threads];
        Lockstep.Read([baseModel, compressed], text, pool, options, progress, cancel, (first, targets, logits) =>
        {
            RowJob job = new()
            {
                Base = logits[0].Data,
                Compressed = logits[1].Data,
                Tokens = tokens.AsSpan(first, targets.Length),
                Scratch = scratch,
                Vocabulary = vocabulary,
                Parts = pool.Threads,
            };
            pool.Run(job.Parts, ref job);
        });
        return new Comparison(tokens, text, options.Activations);
    }

    static TokenComparison[] Positions(EvaluationText text)
    {
        TokenComparison[] tokens = new TokenComparison[text.ScoredTokens];
        int next = 0;
        foreach (Window window in text.Windows)
        {
            ReadOnlySpan<int> ids = text.Documents[window.Document].Ids.Span;
            for (int i = window.Start + window.FirstScored; i < window.Start + window.Length; i++)
                tokens[next++] = new TokenComparison { Document = window.Document, Position = i, Id = ids[i] };
        }
        return tokens;
    }

    ref struct RowJob : IJob
    {
        public ReadOnlySpan<float> Base, Compressed;
        public Span<TokenComparison> Tokens;
        public Span<double> Scratch;
        public int Vocabulary, Parts;

        public readonly void Execute(int part)
        {
            Span<double> scratch = Scratch.Slice(2 * Vocabulary * part, 2 * Vocabulary);
            for (int i = part; i < Tokens.Length; i += Parts)
            {
                ReadOnlySpan<float> b = Base.Slice(i * Vocabulary, Vocabulary), c = Compressed.Slice(i * Vocabulary, Vocabulary);
                Tokens[i] = Tokens[i] with
                {
                    BaseTop = TensorPrimitives.IndexOfMax(b),
                    CompressedTop = TensorPrimitives.IndexOfMax(c),
                    BaseNats = CrossEntropy.Row(b, Tokens[i].Id),
                    CompressedNats = CrossEntropy.Row(c, Tokens[i].Id),
                    Kl = KlDivergence.Of(b, c, scratch[..Vocabulary], scratch[Vocabulary..]),
                };
            }
        }
    }
}

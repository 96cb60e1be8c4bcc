using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Evaluation;

public sealed class ComparisonTests : IDisposable
{
    readonly WorkerPool pool = new(2);
    readonly EvaluationText text = EvaluationText.Create(TinyModels.Corpus(14), TinyModels.Tokenizer, Protocol.Strided(24, 10));

    public void Dispose() => pool.Dispose();

    // The same model with its weights rounded to 1/8.
    static DecoderModel Rounded(int seed)
    {
        DecoderModel model = TinyModels.Model(seed);
        foreach ((_, MatrixLayer layer) in model.Matrices())
        {
            Tensor values = ((DenseWeight)layer.Weight).Values;
            foreach (ref float value in values.Data)
                value = MathF.Round(value * 8) / 8;
            values.MarkChanged();
        }
        return model;
    }

    [Fact]
    public void A_model_against_itself_differs_in_nothing()
    {
        DecoderModel model = TinyModels.Model(1);
        Comparison same = Comparison.Measure(model, TinyModels.Model(1), text, pool);
        Assert.Equal((0.0, 0.0), (same.Kl.Value, same.Kl.StandardError));
        Assert.Equal((0.0, 0.0), (same.KlDistribution.Min, same.KlDistribution.Max));
        Assert.Equal((1.0, 0.0), (same.Top1Agreement.Value, same.Top1Agreement.StandardError));
        Assert.Equal((0.0, 1.0), (same.DeltaNll.Value, same.PerplexityRatio.Value));
        Assert.Equal((0.0, 0.0), (same.DeltaProbabilityRms.Value, same.DeltaProbabilityRms.StandardError));
        Assert.Equal(0, same.CorrectnessFlips.Value);
    }

    [Fact]
    public void Each_sides_scores_are_those_of_measuring_it_alone()
    {
        DecoderModel model = TinyModels.Model(1), rounded = Rounded(1);
        Comparison pair = Comparison.Measure(model, rounded, text, pool);
        Assert.Equal(Perplexity.Measure(model, text, pool), pair.Base);
        Assert.Equal(Perplexity.Measure(rounded, text, pool), pair.Compressed);
        Assert.Equal(pair.Compressed.NegativeLogLikelihood.Value - pair.Base.NegativeLogLikelihood.Value, pair.DeltaNll.Value, 1e-12);
        Assert.Equal(pair.Compressed.Perplexity.Value / pair.Base.Perplexity.Value, pair.PerplexityRatio.Value, 1e-12);
        // Paired, the error is far smaller than that of either side.
        Assert.True(pair.DeltaNll.StandardError < pair.Base.NegativeLogLikelihood.StandardError);
        Assert.True(pair.DeltaNllInterval.Contains(pair.DeltaNll.Value));
    }

    [Fact]
    public void Numbers_of_tokens_are_those_of_separate_passes()
    {
        DecoderModel model = TinyModels.Model(1), rounded = Rounded(1);
        Comparison pair = Comparison.Measure(model, rounded, text, pool);
        double kl = 0;
        foreach (TokenComparison token in pair.TokensOf(3))
        {
            int start = 0;
            while (start + 24 <= token.Position)
                start += 10;
            int[] ids = text.Documents[3].Ids[start..token.Position].ToArray();
            double[] p = LogSoftmax(model, ids), q = LogSoftmax(rounded, ids);
            Assert.Equal(text.Documents[3].Ids.Span[token.Position], token.Id);
            Assert.Equal(-p[token.Id], token.BaseNats, 1e-5);
            Assert.Equal(-q[token.Id], token.CompressedNats, 1e-5);
            Assert.Equal(Math.Exp(q[token.Id]) - Math.Exp(p[token.Id]), token.DeltaProbability, 1e-5);
            Assert.Equal((Array.IndexOf(p, p.Max()), Array.IndexOf(q, q.Max())), (token.BaseTop, token.CompressedTop));
            Assert.Equal(p.Zip(q, (x, y) => Math.Exp(x) * (x - y)).Sum(), token.Kl, 1e-6);
            kl += token.Kl;
        }
        Assert.True(kl > 0);
        Assert.Equal(text.ScoredTokens, Enumerable.Range(0, text.Documents.Count).Sum(document => pair.TokensOf(document).Count()));
    }

    double[] LogSoftmax(DecoderModel model, int[] ids)
    {
        double[] logits = Array.ConvertAll(model.ForwardLast(new Batch(ids), new ForwardContext(pool)).Data.ToArray(), x => (double)x);
        double max = logits.Max(), log = max + Math.Log(logits.Sum(x => Math.Exp(x - max)));
        return Array.ConvertAll(logits, x => x - log);
    }

    [Fact]
    public void Scores_summarize_the_tokens()
    {
        Comparison pair = Comparison.Measure(TinyModels.Model(1), Rounded(1), text, pool);
        int n = pair.Tokens.Count;
        Assert.Equal(pair.Tokens.Average(token => token.Kl), pair.Kl.Value, 1e-12);
        Assert.Equal(pair.Tokens.Max(token => token.Kl), pair.KlDistribution.Max);
        Assert.InRange(pair.KlDistribution.Median, pair.KlDistribution.Min, pair.KlDistribution.Percentile(90));
        Assert.Equal(pair.Tokens.Count(token => !token.IsFlip) / (double)n, pair.Top1Agreement.Value, 1e-12);
        Assert.InRange(pair.Top1Agreement.Value, 0.2, 0.999);
        Assert.Equal(Math.Sqrt(pair.Tokens.Average(token => Math.Pow(token.DeltaProbability, 2))), pair.DeltaProbabilityRms.Value, 1e-12);
        Assert.True(pair.DeltaProbabilities.Min < 0 && pair.DeltaProbabilities.Max > 0);
        Assert.All(pair.Scores, score => Assert.Equal((n, text.Signature + "|reduction=token-mean|activations=f32"), (score.Samples, score.Signature)));
    }

    [Fact]
    public void A_comparison_depends_on_neither_batch_size_nor_threads_bit_for_bit()
    {
        DecoderModel model = TinyModels.Model(1), rounded = Rounded(1);
        Comparison wanted = Comparison.Measure(model, rounded, text, pool);
        using WorkerPool three = new(3);
        Comparison other = Comparison.Measure(model, rounded, text, three, new EvaluationOptions { TokensPerPass = 1, LogitRows = 3 });
        Assert.Equal(wanted.Tokens, other.Tokens);
        Assert.Equal(wanted.Scores, other.Scores);
    }

    [Fact]
    public void Models_of_different_vocabularies_do_not_compare()
    {
        DecoderModel other = Coppice.Training.Initialization.Random(TinyModels.Config with { VocabularySize = 281 }, 1);
        Assert.Contains("vocabulary of 280", Assert.Throws<CoppiceException>(() => Comparison.Measure(TinyModels.Model(1), other, text, pool)).Message, StringComparison.Ordinal);
    }
}

using System.Text;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Tests.Evaluation;

public sealed class PerplexityTests : IDisposable
{
    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    public static TheoryData<string> Protocols => ["documents", "hf-stride", "gptq"];

    static Protocol Named(string name) => name switch
    {
        "documents" => Protocol.Documents(40),
        "hf-stride" => Protocol.Strided(24, 10),
        _ => Protocol.Concatenated(32),
    };

    [Theory]
    [MemberData(nameof(Protocols))]
    public void Every_scored_token_is_predicted_from_what_its_window_holds_before_it(string protocol)
    {
        DecoderModel model = TinyModels.Model(1);
        Corpus corpus = TinyModels.Corpus(12);
        EvaluationText text = EvaluationText.Create(corpus, TinyModels.Tokenizer, Named(protocol));
        PerplexityScores scores = Perplexity.Measure(model, text, pool);

        // One pass a scored token, over its context alone.
        double nats = 0;
        long bytes = 0;
        int count = 0;
        foreach ((int[] context, int target) in Expected(protocol, corpus))
        {
            ForwardContext forward = new(pool);
            float[] logits = model.ForwardLast(new Batch(context), forward).Data.ToArray();
            double max = logits.Max();
            nats += max + Math.Log(logits.Sum(x => Math.Exp(x - max))) - logits[target];
            bytes += TinyModels.Tokenizer.ByteCount(target);
            count++;
        }
        Assert.Equal(count, text.ScoredTokens);
        Assert.Equal(bytes, text.ScoredBytes);
        Assert.Equal(nats / count, scores.NegativeLogLikelihood.Value, 1e-6);
        Assert.Equal(Math.Exp(nats / count), scores.Perplexity.Value, 1e-3);
        Assert.Equal(nats / Math.Log(2) / bytes, scores.BitsPerByte.Value, 1e-6);
        Assert.Equal(scores.Perplexity.Value * scores.NegativeLogLikelihood.StandardError, scores.Perplexity.StandardError, 1e-9);
        Assert.InRange(scores.NegativeLogLikelihood.StandardError, 1e-4, 1);
    }

    // The protocols once more, as plainly as they can be said.
    static IEnumerable<(int[] Context, int Target)> Expected(string protocol, Corpus corpus)
    {
        int bos = TinyModels.Tokenizer.BosId!.Value;
        int[] Ids(string text) => [bos, .. TinyModels.Tokenizer.Encode(text)];
        if (protocol == "gptq")
        {
            int[] all = Ids(string.Join("\n\n", corpus.Documents.Select(document => document.Text)));
            for (int window = 0; (window + 1) * 32 <= all.Length; window++)
                for (int i = 1; i < 32; i++)
                    yield return (all[(window * 32)..(window * 32 + i)], all[window * 32 + i]);
            yield break;
        }
        foreach (int[] ids in corpus.Documents.Select(document => Ids(document.Text)))
            if (protocol == "documents")
                for (int i = 1; i < Math.Min(40, ids.Length); i++)
                    yield return (ids[..i], ids[i]);
            else
                for (int i = 1; i < ids.Length; i++)
                {
                    // The first window that reaches token i.
                    int start = 0;
                    while (start + 24 <= i)
                        start += 10;
                    yield return (ids[start..i], ids[i]);
                }
    }

    [Theory]
    [MemberData(nameof(Protocols))]
    public void Scores_depend_on_neither_batch_size_nor_threads_bit_for_bit(string protocol)
    {
        DecoderModel model = TinyModels.Model(2);
        EvaluationText text = EvaluationText.Create(TinyModels.Corpus(15), TinyModels.Tokenizer, Named(protocol));
        PerplexityScores wanted = Perplexity.Measure(model, text, pool);
        using WorkerPool one = new(1), three = new(3);
        foreach ((WorkerPool threads, int tokens, int rows) in new[] { (one, 1, 1), (three, 64, 7), (pool, 100_000, 100_000) })
            Assert.Equal(wanted, Perplexity.Measure(model, text, threads, new EvaluationOptions { TokensPerPass = tokens, LogitRows = rows }));
    }

    [Fact]
    public void The_error_is_clustered_by_document()
    {
        DecoderModel model = TinyModels.Model(3);
        Corpus corpus = TinyModels.Corpus(20);
        Score all = Perplexity.Measure(model, EvaluationText.Create(corpus, TinyModels.Tokenizer, Protocol.Documents(40)), pool).NegativeLogLikelihood;
        double[] totals = new double[20], sizes = new double[20];
        for (int i = 0; i < 20; i++)
        {
            Score one = Perplexity.Measure(model, EvaluationText.Create(new Corpus("one", [corpus.Documents[i]]), TinyModels.Tokenizer, Protocol.Documents(40)), pool).NegativeLogLikelihood;
            (totals[i], sizes[i]) = (one.Value * one.Samples, one.Samples);
        }
        Assert.Equal(Statistics.Ratio(totals, sizes).StandardError, all.StandardError, 1e-10);
        Assert.Contains("|errors=document|", all.Signature, StringComparison.Ordinal);
    }

    [Fact]
    public void A_single_document_takes_its_windows_as_clusters_and_says_so()
    {
        Corpus corpus = new("one", [new Document("d", string.Join(' ', TinyModels.Corpus(20).Documents.Select(document => document.Text)))]);
        EvaluationText text = EvaluationText.Create(corpus, TinyModels.Tokenizer, Protocol.Strided(24, 24));
        Score score = Perplexity.Measure(TinyModels.Model(3), text, pool).NegativeLogLikelihood;
        Assert.Equal(ErrorUnit.Window, text.ErrorUnit);
        Assert.Contains("|errors=window|", score.Signature, StringComparison.Ordinal);
        Assert.True(double.IsFinite(score.StandardError));
    }

    [Fact]
    public void Strided_windows_score_each_token_but_the_first_once()
    {
        for (int length = 1; length < 60; length++)
            foreach ((int context, int stride) in new[] { (10, 1), (10, 5), (10, 9), (48, 30) })
            {
                List<int> scored = [];
                foreach (Window window in Window.Cut(0, length, Protocol.Strided(context, stride)))
                {
                    Assert.InRange(window.Length, 2, context);
                    scored.AddRange(Enumerable.Range(window.Start + window.FirstScored, window.Scored));
                }
                Assert.Equal(Enumerable.Range(1, length - 1), scored);
            }
    }

    [Fact]
    public void The_signature_names_text_tokenizer_and_every_setting()
    {
        Corpus corpus = TinyModels.Corpus(12);
        string Of(Corpus text, Protocol protocol) => EvaluationText.Create(text, TinyModels.Tokenizer, protocol).Signature;
        string signature = Of(corpus, Protocol.Strided(24, 10));
        Assert.Equal($"text={corpus.Hash}|tokenizer={TinyModels.Tokenizer.Hash}|protocol=hf-stride|context=24|stride=10|minCharacters=0|prefix=bos|errors=document", signature);
        string[] others =
        [
            Of(TinyModels.Corpus(13), Protocol.Strided(24, 10)), Of(corpus, Protocol.Strided(24, 11)), Of(corpus, Protocol.Strided(25, 10)),
            Of(corpus, Protocol.Documents(24)), Of(corpus, Protocol.Strided(24, 10) with { MinimumCharacters = 1 }),
        ];
        Assert.All(others, other => Assert.NotEqual(signature, other));
    }

    [Fact]
    public void Short_documents_are_left_out()
    {
        Corpus corpus = new("lines", [new Document("a", "nineteen characters"), new Document("b", "twenty characters !!")]);
        EvaluationText text = EvaluationText.Create(corpus, TinyModels.Tokenizer, Protocol.Documents(40) with { MinimumCharacters = 20 });
        Assert.Equal("b", Assert.Single(text.Documents).Source);
        Assert.Equal(Encoding.UTF8.GetByteCount("twenty characters !!"), text.ScoredBytes);
    }

    [Fact]
    public void What_cannot_be_measured_is_refused_in_one_line()
    {
        DecoderModel model = TinyModels.Model(1);
        EvaluationText text = EvaluationText.Create(TinyModels.Corpus(3), TinyModels.Tokenizer, Protocol.Documents(49));
        Assert.Contains("49 tokens, the model's context holds 48", Assert.Throws<CoppiceException>(() => Perplexity.Measure(model, text, pool)).Message, StringComparison.Ordinal);
        Assert.Contains("leaves nothing to score", Assert.Throws<CoppiceException>(() =>
            EvaluationText.Create(new Corpus("t", [new Document("d", "a")]), TinyModels.Tokenizer, Protocol.Concatenated(40))).Message, StringComparison.Ordinal);
        Assert.Contains("stride of 50", Assert.Throws<CoppiceException>(() => Protocol.Strided(40, 50).Validate()).Message, StringComparison.Ordinal);

        ((DenseWeight)model.Embedding.Weight).Values.Data.Fill(float.NaN);
        EvaluationText good = EvaluationText.Create(TinyModels.Corpus(3), TinyModels.Tokenizer, Protocol.Documents(40));
        Assert.Contains("document 'document 0', token 1", Assert.Throws<CoppiceException>(() => Perplexity.Measure(model, good, pool)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Measuring_stops_when_it_is_cancelled()
    {
        using CancellationTokenSource source = new();
        EvaluationText text = EvaluationText.Create(TinyModels.Corpus(12), TinyModels.Tokenizer, Protocol.Documents(40));
        Assert.Throws<OperationCanceledException>(() =>
            Perplexity.Measure(TinyModels.Model(1), text, pool, new EvaluationOptions { LogitRows = 10 }, new Cancelling(source), source.Token));
    }

    sealed class Cancelling(CancellationTokenSource source) : IProgress<double>
    {
        public void Report(double value) => source.Cancel();
    }
}

using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Tests.Evaluation;

/// <summary>A real model on real stories.</summary>
public sealed class Stories260KTests
{
    const string Weights = "stories260K/stories260K.bin", Tokens = "stories260K/tok512.bin", Stories = "tinystories/tinystories_1000.lines.txt";

    // All 1,000 stories give 405,829 tokens, 1.60848 nats a token and 1.14141 bits a byte; llama2.c gives 405,829, 1.6085 and 1.1414.
    // Here are the first 20, with figures from the run that gave those.
    [SharedDataFact(Weights, Tokens, Stories)]
    public void Scores_of_stories_are_those_of_llama2c()
    {
        Corpus stories = Corpus.Open(SharedDataFactAttribute.PathOf(Stories), new CorpusOptions { Unit = DocumentUnit.Line });
        Corpus first = new("stories", [.. stories.Documents.Take(20)]);
        LanguageModel model = LanguageModel.Load(SharedDataFactAttribute.PathOf(Weights), SharedDataFactAttribute.PathOf(Tokens));
        EvaluationText text = EvaluationText.Create(first, model.Tokenizer, Protocol.Documents(512) with { MinimumCharacters = 20 });
        using WorkerPool pool = new(2);
        PerplexityScores scores = Perplexity.Measure(model.Model, text, pool);
        Assert.Equal((6_451, 13_806L), (text.ScoredTokens, text.ScoredBytes));
        Assert.Equal(1.313317, scores.NegativeLogLikelihood.Value, 5e-5);
        Assert.Equal(0.885326, scores.BitsPerByte.Value, 5e-5);
        Assert.Equal(0.0374, scores.NegativeLogLikelihood.StandardError, 5e-4);
    }
}

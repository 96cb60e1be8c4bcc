using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Tests;

/// <summary>The model that ships here is as good as assets/README.md says, and loses to compression in the order that the papers predict.</summary>
public sealed class GroveTests : IDisposable
{
    readonly WorkerPool pool = new(Environment.ProcessorCount);

    public void Dispose() => pool.Dispose();

    static LanguageModel Load() => LanguageModel.Load(Path.Combine(Repository.Root, "assets", "grove"));

    static EvaluationText Text(LanguageModel grove, int documents) =>
        EvaluationText.Create(new Corpus("sdk:test", [.. Corpus.Open("sdk:test").Documents.Take(documents)]), grove.Tokenizer, Protocol.Documents(grove.Model.ContextLength));

    [Fact]
    public void Grove_has_learnt_its_subject()
    {
        LanguageModel grove = Load();
        Assert.InRange(grove.Model.ParameterCount, 3_000_000, 8_000_000);
        Assert.All(grove.Model.Matrices(), part => Assert.Equal(0, part.Layer.Weight.Rows % 256 + part.Layer.Weight.Columns % 256));
        Assert.InRange(Perplexity.Measure(grove.Model, Text(grove, 100), pool).BitsPerByte.Value, 0.3, 1.1);
    }

    [Fact]
    public void Gptq_loses_less_than_half_of_what_rounding_loses_and_Wanda_less_than_magnitude()
    {
        LanguageModel grove = Load();
        EvaluationText text = Text(grove, 60);
        IReadOnlyList<int[]> calibration = CalibrationText.Draw(Corpus.Open("sdk:train"), grove.Tokenizer, grove.Model.ContextLength, 8192, seed: 1);
        Assert.True(Kl("gptq: { bits: 4, groupSize: 32 }") < 0.5 * Kl("roundToNearest: { bits: 4, groupSize: 32 }"));
        Assert.True(Kl("wanda: { sparsity: 0.5 }") < Kl("magnitude: { sparsity: 0.5 }"));

        double Kl(string step)
        {
            LanguageModel model = Load();
            new CompressionPipeline(RecipeReader.Parse($"name: test\nsteps:\n  - {step}", "test"), pool).Run(model.Model, calibration);
            return Comparison.Measure(grove.Model, model.Model, text, pool).Kl.Value;
        }
    }
}

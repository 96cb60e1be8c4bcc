using Coppice.Compression;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Compression;

public sealed class RecipeForecastTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-forecast-").FullName;

    string Scratch => Path.Combine(folder, "scratch");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("- sparseGpt: { sparsity: 0.5 }")]
    [InlineData("- wanda: { sparsity: 0.5, allocation: owl }")]
    [InlineData("- taylor: { sparsity: 0.5 }")]
    [InlineData("- gptq: { bits: 4, groupSize: 16, targets: \"*\" }")]
    [InlineData("- pruneNeurons: { share: 0.5 }")]
    [InlineData("- pruneNeurons: { share: 0.5 }\n  - fineTune: { tokens: 768, batchSize: 2, contextLength: 32 }\n  - gptq: { bits: 4, groupSize: 16 }")]
    [InlineData("- sparseGpt: { pattern: \"2:4\" }\n  - fineTune: { tokens: 768, batchSize: 2, contextLength: 32 }\n  - gptq: { bits: 4, groupSize: 16 }")]
    [InlineData("- qat: { bits: 3, groupSize: 16, tokens: 768, batchSize: 2, contextLength: 32 }")]
    public void Sizes_and_kinds_are_those_that_the_run_gives_and_the_model_stays_as_it_was(string steps)
    {
        Recipe recipe = RecipeReader.Parse($"steps:\n  {steps}", "r");
        DecoderModel model = Samples.Model();
        float[] before = Numbers(model);
        int[][] text = Samples.Tokens();
        RecipeForecast forecast = RecipeForecast.Measure(recipe, model, text, Scratch, Samples.Pool, reload: () => Samples.Model());
        Assert.Equal(before, Numbers(model));
        Assert.False(Directory.Exists(Scratch));

        CompressionReport report = new CompressionPipeline(recipe, Samples.Pool) { Base = () => Samples.Model(), Text = tokens => RecipeForecast.RandomText(model, tokens, 1) }.Run(model, text);
        // What no pass over matrices stored is written as halves.
        long written = report.Layers.Sum(layer => layer.Kind == "f32" ? 2L * layer.Rows * layer.Columns : layer.Bytes) + report.Model.AllVectors().Sum(part => 4L * part.Vector.Shape.Length);
        Assert.InRange(forecast.OutputBytes, 0.98 * written, 1.02 * written);
        Assert.All(report.Layers, layer => Assert.Equal(layer.Kind == "f32" ? "f16" : layer.Kind, Assert.Single(forecast.Kinds, kind => layer.Name.EndsWith(kind.Key, StringComparison.Ordinal)).Value));
        Assert.True(forecast.Seconds > 0 && forecast.PeakBytes > 0 && forecast.JournalBytes > 0);
        Assert.Equal(steps.Contains("tokens: 768", StringComparison.Ordinal) ? 768 : 144, report.CalibrationTokens);
    }

    static float[] Numbers(Model model) => [.. model.Matrices().SelectMany(matrix => matrix.Layer.Weight.ToDense()), .. model.AllVectors().SelectMany(part => part.Vector.Data.ToArray())];
}

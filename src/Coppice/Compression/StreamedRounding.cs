using System.Diagnostics;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Runs a recipe that rounds to GGUF's blocks and nothing else, from a model that stays in its file to a .gguf, a few rows at a time. The file is what <see cref="CompressionPipeline"/> and <see cref="LanguageModel.SaveGguf(string, GgmlType?, WorkerPool?)"/> write.</summary>
public sealed class StreamedRounding
{
    readonly Recipe recipe;
    readonly WorkerPool pool;

    /// <summary>For a recipe that only <see cref="Rounds"/>.</summary>
    public StreamedRounding(Recipe recipe, WorkerPool pool)
    {
        if (!Rounds(recipe))
            throw new ArgumentException($"StreamedRounding: recipe '{recipe.Name}' does more than round to blocks");
        (this.recipe, this.pool) = (recipe, pool);
    }

    /// <summary>Whether a recipe only rounds to blocks, with no look at inputs.</summary>
    public static bool Rounds(Recipe recipe) => recipe.Steps.All(step => step is GgufBlock { Rounding: BlockRounding.Nearest });

    /// <summary>Whether all of a model's matrices lie in their file.</summary>
    public static bool Streams(Model model) => model.Matrices().All(matrix => matrix.Layer.Weight is StoredWeight);

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="language">One that <see cref="Streams"/>; see <see cref="OpenModel"/>.</param>
    /// <param name="path">The .gguf.</param>
    /// <param name="name">The model's name in it.</param>
    /// <param name="progress">Told after every matrix.</param>
    /// <param name="cancel">Stops the run.</param>
    /// <exception cref="CoppiceException">The recipe does not fit the model, or a number is not finite or too large.</exception>
    public CompressionReport Write(LanguageModel language, string path, string name, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default)
    {
        if (!Streams(language.Model))
            throw new ArgumentException($"StreamedRounding: {language.Source} has matrices that are in memory");
        long start = Stopwatch.GetTimestamp(), last = start;
        CompressionPlan plan = new(recipe.Name, [.. recipe.Steps.OfType<WeightStep>()], 0, language.Model);
        Dictionary<string, LayerResult> results = new(StringComparer.Ordinal);
        List<(string Name, MatrixLayer Layer)> matrices = [.. language.Model.Matrices()];
        Dictionary<string, Weight> weights = matrices.ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight);
        ModelGguf.Save(language.Model, language.Tokenizer, path, name, new WritingOptions { Pool = pool, Cancel = cancel }, (matrix, weight) => TypeOf(plan, matrix, weight), (matrix, numbers) =>
        {
            cancel.ThrowIfCancellationRequested();
            long now = Stopwatch.GetTimestamp();
            results.Add(matrix, Result(plan, matrix, weights[matrix], numbers, Stopwatch.GetElapsedTime(last, now).TotalSeconds));
            last = now;
            progress?.Report(new CompressionProgress(matrix, results.Count, matrices.Count));
        });
        long vectors = language.Model.AllVectors().Sum(part => 4L * part.Vector.Shape.Length), bytes = results.Values.Sum(layer => layer.Bytes) + vectors;
        double zeros = results.Values.Sum(layer => layer.Sparsity * layer.Rows * layer.Columns), all = results.Values.Sum(layer => (double)layer.Rows * layer.Columns);
        return new CompressionReport(recipe.ToYaml(), [.. matrices.Select(matrix => results[matrix.Name])], 0, language.Model.ByteCount, bytes,
            8.0 * bytes / language.Model.ParameterCount, zeros / all, 0, Stopwatch.GetElapsedTime(start).TotalSeconds)
        { Model = language.Model };
    }

    // What no step edits becomes f16 where it was f32, as in the pipeline.
    static GgmlType TypeOf(CompressionPlan plan, string matrix, Weight weight) =>
        plan.For(matrix) is [GgufBlock step] ? GgmlType.Of(step.For(weight.Columns)!) : GgufBlocks.TypeOf(weight);

    static LayerResult Result(CompressionPlan plan, string matrix, Weight before, StoredNumbers numbers, double seconds)
    {
        GgmlType type = TypeOf(plan, matrix, before);
        long count = (long)before.Rows * before.Columns, bytes = count / type.BlockSize * type.BlockBytes;
        return new LayerResult(matrix, [.. plan.For(matrix).Select(step => step.Key)], type.Name.ToLowerInvariant(), before.Rows, before.Columns, bytes, 8.0 * bytes / count,
            (double)numbers.Zeros / count, numbers.SquaredNorm == 0 ? 0 : numbers.SquaredError / numbers.SquaredNorm, null, seconds,
            [.. plan.For(matrix).OfType<GgufBlock>().Select(step => step.Warning(before.Columns)).OfType<string>().Select(warning => $"{matrix}: {warning}")]);
    }
}

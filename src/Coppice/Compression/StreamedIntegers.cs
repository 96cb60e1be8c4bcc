using System.Diagnostics;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>
/// Runs a recipe that rounds to nearest and nothing else, from a model that stays in its file to a Hugging Face folder, a few rows at a time. The folder is what <see cref="CompressionPipeline"/> and
/// <see cref="LanguageModel.Save"/> write; its scales stand far from its codes, so that each matrix is read and rounded twice rather than kept.
/// </summary>
public sealed class StreamedIntegers
{
    readonly Recipe recipe;
    readonly WorkerPool pool;

    /// <summary>For a recipe that only <see cref="Rounds"/>.</summary>
    public StreamedIntegers(Recipe recipe, WorkerPool pool)
    {
        if (!Rounds(recipe))
            throw new ArgumentException($"StreamedIntegers: recipe '{recipe.Name}' does more than round to nearest");
        (this.recipe, this.pool) = (recipe, pool);
    }

    /// <summary>Whether a recipe only rounds to the nearest integers, each row by itself.</summary>
    public static bool Rounds(Recipe recipe) => recipe.Steps.All(step => step is RoundToNearest rounding && rounding.Overrides.Select(change => (RoundToNearest)change.Step).Append(rounding).All(each => each is { Levels: GridLevels.Int, GroupSize: not Grid.WholeMatrix }));

    /// <summary>Whether all of a model's matrices lie in their file, and are stored one by one in a folder.</summary>
    public static bool Streams(Model model) => StreamedRounding.Streams(model) && model is DecoderModel decoder && DecoderFolder.StoresApart(decoder);

    /// <summary>Writes the folder, whole or not at all. The model's matrices are replaced by ones that are made as they are written.</summary>
    /// <param name="language">One that <see cref="Streams"/>; see <see cref="OpenModel"/>.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="progress">Told after every matrix that is rounded.</param>
    /// <param name="cancel">Stops the run.</param>
    /// <exception cref="CoppiceException">The recipe does not fit the model, or a number is not finite or too large.</exception>
    public CompressionReport Write(LanguageModel language, string folder, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default)
    {
        if (!Streams(language.Model))
            throw new ArgumentException($"StreamedIntegers: {language.Source} has matrices that are in memory, or stored together");
        long start = Stopwatch.GetTimestamp(), bytesBefore = language.Model.ByteCount;
        CompressionPlan plan = new(recipe.Name, [.. recipe.Steps.OfType<WeightStep>()], 0, language.Model);
        List<(string Name, MatrixLayer Layer)> matrices = [.. language.Model.Matrices()];
        List<StreamedMatrix> streamed = [];
        int done = 0, rounded = plan.Count;
        foreach ((string name, MatrixLayer layer) in matrices)
        {
            StreamedMatrix matrix = new(name, layer.Weight, (RoundToNearest?)plan.For(name).SingleOrDefault(), pool, cancel);
            matrix.Rounded += () => progress?.Report(new CompressionProgress(name, Interlocked.Increment(ref done), rounded));
            streamed.Add(matrix);
            layer.Weight = matrix.Stored;
        }
        language.Save(folder);
        LayerResult[] results = [.. streamed.Select(matrix => matrix.Result())];
        long vectors = language.Model.AllVectors().Sum(part => 4L * part.Vector.Shape.Length), bytes = results.Sum(layer => layer.Bytes) + vectors;
        double zeros = results.Sum(layer => layer.Sparsity * layer.Rows * layer.Columns), all = results.Sum(layer => (double)layer.Rows * layer.Columns);
        return new CompressionReport(recipe.ToYaml(), [.. results], 0, bytesBefore, bytes, 8.0 * bytes / language.Model.ParameterCount, zeros / all, 0, Stopwatch.GetElapsedTime(start).TotalSeconds) { Model = language.Model };
    }
}

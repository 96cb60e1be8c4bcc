using System.Diagnostics;
using Coppice.Compression.Prune;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>The little of a recipe that is done to tell what all of it takes.</summary>
/// <param name="recipe">The recipe.</param>
/// <param name="text">A sample of the calibration text.</param>
/// <param name="texts">Of how many texts it is.</param>
/// <param name="longer">How many times longer than the sample all text is.</param>
/// <param name="scratch">A folder for a journal.</param>
/// <param name="pool">Threads.</param>
/// <param name="reload">Reads the model again, or null.</param>
/// <param name="cancel">Stops it.</param>
sealed class ForecastWork(Recipe recipe, IReadOnlyList<int[]> text, int texts, double longer, string scratch, WorkerPool pool, Func<Model>? reload, CancellationToken cancel)
{
    // Below this much of a first time goes to compiling what is run, and to reading the file, which is done but once.
    const double QuickSeconds = 30;

    // Of a matrix outside the blocks.
    const int SampleRows = 256;

    readonly Journal journal = Journal.Scratch(scratch);

    /// <summary>What became of matrices of first blocks, by name.</summary>
    public Dictionary<string, LayerResult> Done { get; } = new(StringComparer.Ordinal);

    /// <summary>Time that all phases so far take.</summary>
    public double Seconds { get; private set; }

    /// <summary>What they keep on disk.</summary>
    public long JournalBytes { get; private set; }

    /// <summary>A pass over matrices: its first block, and what steps look at before it.</summary>
    /// <returns>The model, its first block as it is stored.</returns>
    public Model Pass(RecipePhase phase, Model model)
    {
        CompressionPlan plan = new(recipe.Name, phase.Steps, phase.FirstStep, model);
        IReadOnlyList<IReadOnlyList<int[]>> each = text.Count == 0 ? [] : [.. Enumerable.Repeat(text, texts)];
        long start = Stopwatch.GetTimestamp();
        using PreparedScores scores = new(plan, model, each, pool, null, cancel);
        // Blocks that lose more than others pay for those that lose less: the first block is done with the share of all.
        double looked = scores.TextSeconds + new CompressionPlan(recipe.Name, phase.Steps, phase.FirstStep, model).Spread(model, each, pool, cancel);
        Seconds += Since(start) + (longer - 1) * looked;
        List<(MatrixLayer Layer, Weight Weight)> before = [.. model.Matrices().Select(matrix => (matrix.Layer, matrix.Layer.Weight))];
        long kept = MemoryProbe.DiskBytes(scratch);
        (double first, double passing) = Block();
        double again = first;
        if (first < QuickSeconds)
            (again, passing) = Block();
        int blocks = model.SourceBlocks.Count + model.Blocks.Count;
        Seconds += first + (blocks - 1) * again + blocks * (longer - 1) * passing;
        JournalBytes += blocks * (MemoryProbe.DiskBytes(scratch) - kept);
        HashSet<MatrixLayer> inBlocks = MatrixTargets.InBlocks(model);
        foreach ((string name, MatrixLayer layer) in model.Matrices().Where(matrix => !inBlocks.Contains(matrix.Layer)))
            Sample(name, layer.Weight, plan.For(name));
        return model;

        (double Seconds, double TextSeconds) Block()
        {
            foreach ((MatrixLayer layer, Weight weight) in before)
                layer.Weight = weight;
            journal.Forget(phase.FirstPart);
            long began = Stopwatch.GetTimestamp();
            LayerPass pass = new(plan, scores, model, text.Count == 0 ? null : new Calibration(model, text, pool), journal, new PassSettings(pool, 0, null, cancel) { FirstPart = phase.FirstPart, Blocks = 1 });
            foreach (LayerResult result in pass.Run())
                Done[result.Name] = result;
            return (Since(began), pass.TextSeconds);
        }
    }

    // A table or a head: the first rows of it, by forms of the steps that look at no inputs.
    void Sample(string name, Weight weight, IReadOnlyList<WeightStep> steps)
    {
        if (steps.Count == 0 || steps.Any(step => step.WithoutInputs is null))
            return;
        long start = Stopwatch.GetTimestamp();
        int rows = Math.Min(SampleRows, weight.Rows);
        float[] numbers = new float[rows * weight.Columns];
        weight.Unpack(0, numbers);
        LayerWork bench = new(name, rows, weight.Columns, numbers, pool) { Cancel = cancel };
        foreach (WeightStep step in steps)
            step.WithoutInputs!.Apply(bench);
        Weight packed = Packing.Pack(bench);
        Done[name] = new LayerResult(name, [.. steps.Select(step => step.Key)], packed.Kind, weight.Rows, weight.Columns, (long)(packed.BitsPerWeight / 8 * weight.Rows * weight.Columns), packed.BitsPerWeight, packed.Sparsity(), 0, null, 0, []);
        Seconds += Since(start) * weight.Rows / rows;
    }

    /// <summary>A step over the whole model, or so much of one as tells its time.</summary>
    /// <returns>The model that it makes, which lies in the journal.</returns>
    public Model Step(RecipePhase phase, Model model)
    {
        // What is trained is not what the caller has.
        foreach ((_, MatrixLayer layer) in model.Matrices())
            if (layer.Weight is DenseWeight dense)
                layer.Weight = new DenseWeight(Tensor.From(dense.Shape, dense.ToDense()));
        (ModelStep step, double times) = phase.Model!.PartOn(model);
        (Model made, double first) = Applied();
        double again = first < QuickSeconds ? Applied().Seconds : first;
        Seconds += first + again * (times * (step.NeedsCalibration ? longer : 1) - 1);
        long start = Stopwatch.GetTimestamp(), kept = MemoryProbe.DiskBytes(scratch);
        made = journal.WriteModel(phase.FirstPart, made, []);
        Seconds += Since(start);
        JournalBytes += MemoryProbe.DiskBytes(scratch) - kept;
        return made;

        (Model Made, double Seconds) Applied()
        {
            long began = Stopwatch.GetTimestamp();
            return (step.Apply(new ModelWork
            {
                Model = model,
                Calibration = text,
                Text = tokens => RecipeForecast.RandomText(model, tokens, 0),
                Base = reload,
                Pool = pool,
                Random = new Random(0),
                Cancel = cancel,
            }), Since(began));
        }
    }

    /// <summary>Takes away what was written.</summary>
    public void Delete() => journal.Delete();

    static double Since(long start) => Stopwatch.GetElapsedTime(start).TotalSeconds;
}

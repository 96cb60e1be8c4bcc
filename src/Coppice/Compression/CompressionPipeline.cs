using System.Collections.Immutable;
using System.Diagnostics;
using System.Numerics.Tensors;
using System.Text;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>
/// Runs a recipe over a model, block after block and, within one, stage after stage (q, k, v; o; gate, up; down): each stage's statistics are
/// those of its inputs in the model as compressed so far. Embedding and head come last. Of a model that is left in its file (see <see cref="OpenModel"/>) one block is in memory at a time, and with a journal the finished ones lie there;
/// beside that: one stage's statistics (a mixture's experts in portions) and the calibration's hidden states. An expert that too few calibration tokens reach gets each step's form that needs none, with a warning.
/// </summary>
public sealed class CompressionPipeline(Recipe recipe, WorkerPool pool)
{
    // Of fewer inputs than this neither norms nor products say much.
    const int FewestTokens = 32;

    const long MostStatistics = 1L << 30;

    /// <summary>Fixes every draw.</summary>
    public int Seed { get; init; }

    /// <summary>Replaces the model's matrices by packed ones; those that no step edits become f16 where they were f32. If it throws, the model is part changed and to be loaded again.</summary>
    /// <param name="model">Dense, f32 or 16 bits a number.</param>
    /// <param name="calibration">Token sequences, each at most the model's context long; empty where no step needs them, but then outputs' errors are not measured.</param>
    /// <param name="journal">Where finished blocks are kept and found again, or null.</param>
    /// <param name="progress">Told after every matrix.</param>
    /// <param name="cancel">Stops the run.</param>
    /// <exception cref="CoppiceException">The recipe does not fit the model, or a weight or an activation is not finite.</exception>
    public CompressionReport Run(Model model, IReadOnlyList<int[]> calibration, Journal? journal = null, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default)
    {
        CompressionPlan plan = new(recipe, model);
        if (calibration.Count == 0 && plan.MostNeeded != Statistics.None)
            throw new CoppiceException($"recipe '{recipe.Name}' needs calibration text and there is none");
        if (calibration.Count > 0 && model.SourceBlocks.Count > 0)
            throw new CoppiceException($"recipe '{recipe.Name}': a {model.Family} model is calibrated by pairs of texts, which are not taken yet; use steps that need no calibration text");
        return new Pass(this, model, plan, calibration.Count == 0 ? null : new Calibration(model, calibration, pool), journal, progress, cancel).Run();
    }

    /// <summary>One run over one model.</summary>
    sealed class Pass(CompressionPipeline pipeline, Model model, CompressionPlan plan, Calibration? calibration, Journal? journal, IProgress<CompressionProgress>? progress, CancellationToken cancel)
    {
        readonly List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        readonly IReadOnlyList<TransformerBlock> blocks = [.. model.SourceBlocks, .. model.Blocks];
        readonly List<LayerResult> results = [];
        int resumed;

        public CompressionReport Run()
        {
            long start = Stopwatch.GetTimestamp(), bytesBefore = model.ByteCount;
            Dictionary<MatrixLayer, string> names = matrices.ToDictionary(matrix => matrix.Layer, matrix => matrix.Name);
            HashSet<MatrixLayer> inBlocks = [.. blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices)];
            List<(string Name, MatrixLayer Layer)> others = [.. matrices.Where(matrix => !inBlocks.Contains(matrix.Layer))];
            CheckFinite();
            CheckHead(others);

            for (int i = 0; i < blocks.Count; i++)
            {
                TransformerBlock block = blocks[i];
                IReadOnlyList<(string Name, MatrixLayer Layer)> own = [.. block.Stages.SelectMany(stage => stage.Matrices).Select(linear => (names[linear], (MatrixLayer)linear))];
                Residence residence = new(own, journal, i);
                if (!Resumed(i, own))
                {
                    residence.BringIn();
                    CompressBlock(block, i, names);
                    residence.Keep([.. results.TakeLast(own.Count)]);
                }
                if (calibration is not null)
                {
                    residence.BringIn();
                    calibration.Advance(block, i, cancel);
                }
                residence.Leave();
            }
            for (int i = 0; i < others.Count; i++)
            {
                (string name, MatrixLayer layer) = others[i];
                Residence residence = new([others[i]], journal, blocks.Count + i);
                if (!Resumed(blocks.Count + i, [others[i]]))
                {
                    residence.BringIn();
                    Compress(name, layer, plan.For(name).Count > 0 ? calibration?.MeasureHead(layer, Statistics.Gram, cancel) : null);
                    residence.Keep([results[^1]]);
                }
                residence.Leave();
            }
            double zeros = results.Sum(layer => layer.Sparsity * layer.Rows * layer.Columns), all = results.Sum(layer => (double)layer.Rows * layer.Columns);
            return new CompressionReport(pipeline.Recipe.ToYaml(), [.. results], calibration?.Tokens ?? 0, bytesBefore, model.ByteCount, model.BitsPerWeight,
                zeros / all, resumed, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        // Groups whose statistics are gathered in one pass: as many as fit, a float and a double for each product of two channels.
        static IEnumerable<IReadOnlyList<IReadOnlyList<Linear>>> Portions(Stage stage)
        {
            List<IReadOnlyList<Linear>> portion = [];
            long bytes = 0;
            foreach (IReadOnlyList<Linear> group in stage.Groups)
            {
                long more = 12L * group[0].Weight.Columns * group[0].Weight.Columns;
                if (portion.Count > 0 && bytes + more > MostStatistics)
                {
                    yield return portion;
                    (portion, bytes) = ([], 0);
                }
                portion.Add(group);
                bytes += more;
            }
            yield return portion;
        }

        // Whether an earlier run did a part; its matrices are put in place.
        bool Resumed(int part, IReadOnlyList<(string Name, MatrixLayer Layer)> own)
        {
            cancel.ThrowIfCancellationRequested();
            if (journal?.Read(part, own) is not { } earlier)
                return false;
            resumed++;
            results.AddRange(earlier);
            return true;
        }

        void CompressBlock(TransformerBlock block, int index, Dictionary<MatrixLayer, string> names)
        {
            foreach (IReadOnlyList<IReadOnlyList<Linear>> groups in block.Stages.SelectMany(Portions))
            {
                IReadOnlyList<Linear>[] measured = [.. groups.Where(group => calibration is not null && group.Any(linear => plan.For(names[linear]).Count > 0))];
                InputStatistics[] inputs = measured.Length == 0 ? [] : calibration!.Measure(block, index, [.. measured.Select(group => group[0])], Statistics.Gram, cancel);
                foreach (IReadOnlyList<Linear> group in groups)
                    foreach (Linear linear in group)
                        Compress(names[linear], linear, Array.IndexOf(measured, group) is >= 0 and int at ? inputs[at] : null);
            }
        }

        void Compress(string name, MatrixLayer layer, InputStatistics? inputs)
        {
            cancel.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            if (inputs?.FirstNonFinite() is >= 0 and int channel)
                throw new CoppiceException($"{name}: calibration's activations are not finite in input channel {channel}; the model is damaged, or numbers in it are too large");
            IReadOnlyList<WeightStep> steps = plan.For(name);
            bool isBlind = inputs is not null && inputs.Tokens < Math.Min(FewestTokens, calibration!.Tokens) && steps.Any(step => step.Needs != Statistics.None);
            if (isBlind)
                steps = [.. steps.Select(step => step.WithoutInputs ?? throw new CoppiceException($"{name}: {Reached(inputs!)}, and {step.Key} has no form that needs none; use more calibration text or 'ignore'"))];
            Weight before = layer.Weight;
            float[] original = before.ToDense();
            LayerWork work = new(name, before.Rows, before.Columns, original, pipeline.Pool)
            {
                Inputs = isBlind ? null : inputs,
                Random = new Random(SeedOf(name)),
                Cancel = cancel,
            };
            if (isBlind)
                work.Warnings.Add($"{name}: {Reached(inputs!)}, fewer than {FewestTokens}: it got {string.Join(", ", steps.Select(step => step.Key))} in place of {string.Join(", ", plan.For(name).Select(step => step.Key))}");
            foreach (WeightStep step in steps)
                step.Apply(work);
            layer.Weight = steps.Count == 0 && before is not DenseWeight ? before : Packing.Pack(work);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;

            float[] stored = layer.Weight.ToDense();
            double norm = TensorPrimitives.SumOfSquares<float>(original), distance = TensorPrimitives.Distance<float>(original, stored);
            results.Add(new LayerResult(name, [.. steps.Select(step => step.Key)], layer.Weight.Kind, layer.Weight.Rows, layer.Weight.Columns, layer.Weight.ByteCount,
                layer.Weight.BitsPerWeight, (double)stored.AsSpan().Count(0f) / stored.Length, norm == 0 ? 0 : distance * distance / norm,
                inputs is not { Tokens: > 0 } ? null : LayerObjective.Relative(pipeline.Pool, original, stored, inputs.Gram, before.Columns), seconds, [.. work.Warnings])
            { Tokens = inputs?.Tokens });
            progress?.Report(new CompressionProgress(name, results.Count, matrices.Count));
        }

        string Reached(InputStatistics inputs) => $"{inputs.Tokens} of {calibration!.Tokens} calibration tokens reached it";

        // Past the largest f16 neither a stored number nor a scale could hold; before any work, so that hours are not lost.
        void CheckFinite()
        {
            foreach ((string name, MatrixLayer layer) in matrices)
            {
                if (layer.Weight is not DenseWeight && plan.For(name).Count == 0)
                    continue;
                foreach ((int first, ReadOnlyMemory<float> band) in RowBands.Of(layer.Weight))
                    if (TensorPrimitives.IndexOfMaxMagnitude(band.Span) is >= 0 and int at && !(Math.Abs(band.Span[at]) <= (float)Half.MaxValue))
                        throw new CoppiceException($"{name}: the weight at row {first + at / layer.Weight.Columns}, column {at % layer.Weight.Columns} is {band.Span[at]}, wanted a finite number of at most {(float)Half.MaxValue}; the model is damaged or cannot be stored in halves");
            }
        }

        // A table that is only looked up has no inputs to gather.
        void CheckHead(IEnumerable<(string Name, MatrixLayer Layer)> others)
        {
            foreach ((string name, MatrixLayer layer) in others)
                if (plan.Needs(name) != Statistics.None && !calibration!.HeadReads(layer))
                    throw new CoppiceException($"recipe '{pipeline.Recipe.Name}': {name} enters no product, so that {plan.For(name)[0].Key} has no inputs to look at; use roundToNearest for it");
        }

        // FNV-1a: the same on every machine and in every process, whichever matrices are done in this one.
        int SeedOf(string name)
        {
            uint hash = 2166136261;
            foreach (byte value in Encoding.UTF8.GetBytes($"{pipeline.Seed} {name}"))
                hash = (hash ^ value) * 16777619;
            return (int)hash;
        }
    }

    Recipe Recipe => recipe;

    WorkerPool Pool => pool;
}

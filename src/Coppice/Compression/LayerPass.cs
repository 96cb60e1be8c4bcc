using System.Diagnostics;
using System.Numerics.Tensors;
using System.Text;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>
/// Steps over a model's matrices, block after block and, within one, stage after stage (q, k, v; o; gate, up; down): each stage's statistics are those of its inputs in the model as compressed so far.
/// Embedding and head come last. Of a model that is left in its file (see <see cref="OpenModel"/>) one block is in memory at a time, and with a journal the finished ones lie there; beside that: one
/// stage's statistics (a mixture's experts in portions) and the calibration's hidden states. An expert that too few calibration tokens reach gets each step's form that needs none, with a warning.
/// </summary>
sealed class LayerPass(CompressionPlan plan, PreparedScores scores, Model model, IInputSource? calibration, Journal? journal, PassSettings settings)
{
    // Of fewer inputs than this neither norms nor products say much.
    const int FewestTokens = 32;

    // Numbers of a matrix after which a collection is worth its time: what the work on it took is garbage then, and several times as large.
    const int LargeCount = 1 << 20;

    readonly List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
    readonly IReadOnlyList<TransformerBlock> blocks = [.. model.SourceBlocks, .. model.Blocks];
    readonly List<LayerResult> results = [];

    /// <summary>What became of each matrix, in the order in which they were worked on.</summary>
    public IReadOnlyList<LayerResult> Run()
    {
        Dictionary<MatrixLayer, string> names = matrices.ToDictionary(matrix => matrix.Layer, matrix => matrix.Name);
        HashSet<MatrixLayer> inBlocks = [.. blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices)];
        List<(string Name, MatrixLayer Layer)> others = [.. matrices.Where(matrix => !inBlocks.Contains(matrix.Layer))];

        for (int i = 0; i < (settings.Blocks ?? blocks.Count); i++)
        {
            TransformerBlock block = blocks[i];
            IReadOnlyList<(string Name, MatrixLayer Layer)> own = [.. block.Stages.SelectMany(stage => stage.Matrices).Select(linear => (names[linear], (MatrixLayer)linear))];
            Residence residence = new(own, journal, settings.FirstPart + i);
            if (!Found(i, own))
            {
                residence.BringIn();
                CompressBlock(block, i, names);
                residence.Keep([.. results.TakeLast(own.Count)]);
            }
            if (calibration is not null)
            {
                residence.BringIn();
                Timed(() => calibration.Advance(block, i, settings.Cancel));
            }
            residence.Leave();
        }
        calibration?.LetGo();
        if (settings.Blocks is null && others.Any(other => other.Layer.Weight.Shape.Length >= LargeCount))
            Collect();
        for (int i = 0; settings.Blocks is null && i < others.Count; i++)
        {
            (string name, MatrixLayer layer) = others[i];
            Residence residence = new([others[i]], journal, settings.FirstPart + blocks.Count + i);
            if (!Found(blocks.Count + i, [others[i]]))
            {
                residence.BringIn();
                CompressGroup([others[i]], plan.For(name).Count == 0 ? null : settings.Given?.Of(name, layer) ?? (Wanted([name]) is var wanted && wanted == Statistics.None ? null : calibration!.MeasureHead(layer, wanted, settings.Cancel)));
                residence.Keep([results[^1]]);
            }
            residence.Leave();
        }
        return results;
    }

    /// <summary>Blocks, and matrices outside them, that an earlier run had done.</summary>
    public int Resumed { get; private set; }

    /// <summary>Time that calibration text was on its way through blocks: what grows with its length.</summary>
    public double TextSeconds { get; private set; }

    void Timed(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        TextSeconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    // Groups whose statistics are gathered in one pass: as many as take no more numbers than the block has.
    static IEnumerable<IReadOnlyList<IReadOnlyList<Linear>>> Portions(TransformerBlock block, Stage stage)
    {
        List<IReadOnlyList<Linear>> portion = [];
        long products = 0, most = block.Stages.SelectMany(own => own.Matrices).Sum(matrix => (long)matrix.Weight.Shape.Length);
        foreach (IReadOnlyList<Linear> group in stage.Groups)
        {
            long more = (long)group[0].Weight.Columns * group[0].Weight.Columns;
            if (portion.Count > 0 && products + more > most)
            {
                yield return portion;
                (portion, products) = ([], 0);
            }
            portion.Add(group);
            products += more;
        }
        yield return portion;
    }

    // Whether an earlier run did a part; its matrices are put in place.
    bool Found(int part, IReadOnlyList<(string Name, MatrixLayer Layer)> own)
    {
        settings.Cancel.ThrowIfCancellationRequested();
        if (journal?.Read(settings.FirstPart + part, own) is not { } earlier)
            return false;
        Resumed++;
        results.AddRange(earlier);
        return true;
    }

    // What is gathered for matrices of which some have a step.
    Statistics Wanted(IEnumerable<string> matrices)
    {
        string[] worked = [.. matrices.Where(name => plan.For(name).Count > 0)];
        return calibration is null || worked.Length == 0 ? Statistics.None : calibration.Wanted(worked.Max(plan.Needs));
    }

    void CompressBlock(TransformerBlock block, int index, Dictionary<MatrixLayer, string> names)
    {
        foreach (IReadOnlyList<IReadOnlyList<Linear>> groups in block.Stages.SelectMany(stage => Portions(block, stage)))
        {
            IReadOnlyList<Linear>[] measured = [.. groups.Where(group => Wanted(group.Select(linear => names[linear])) != Statistics.None)];
            InputStatistics[] inputs = [];
            if (measured.Length > 0)
                Timed(() => inputs = calibration!.Measure(block, index, [.. measured.Select(group => group[0])], Wanted(measured.SelectMany(group => group).Select(linear => names[linear])), settings.Cancel));
            foreach (IReadOnlyList<Linear> group in groups)
            {
                InputStatistics? own = Array.IndexOf(measured, group) is >= 0 and int at ? inputs[at] : settings.Given?.Of(names[group[0]], group[0]);
                if (own is { Kind: Statistics.Gram } && (long)own.Columns * own.Columns >= LargeCount)
                {
                    calibration!.LetGo();
                    Collect();
                }
                CompressGroup([.. group.Select(linear => (names[linear], (MatrixLayer)linear))], own);
            }
        }
    }

    // Matrices with the same inputs, of which nothing is held once they are done.
    void CompressGroup(IReadOnlyList<(string Name, MatrixLayer Layer)> group, InputStatistics? inputs)
    {
        for (int i = 0; i < group.Count; i++)
        {
            if (inputs is not null)
                inputs.Readers = group.Count - i;
            Compress(group[i].Name, group[i].Layer, inputs);
            if (i == group.Count - 1)
                inputs?.LetGo();
            if (group[i].Layer.Weight.Shape.Length >= LargeCount)
                Collect();
        }
    }

    static void Collect() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true);

    void Compress(string name, MatrixLayer layer, InputStatistics? inputs)
    {
        settings.Cancel.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        if (inputs?.FirstNonFinite() is >= 0 and int channel)
            throw new CoppiceException($"{name}: calibration's activations are not finite in input channel {channel}; the model is damaged, or numbers in it are too large");
        IReadOnlyList<WeightStep> steps = plan.For(name);
        string? blind = steps.All(step => step.Needs == Statistics.None) ? null
            : inputs is null ? settings.Given is null ? "it enters no product" : "the importance matrix says nothing of it"
            : calibration is not null && inputs.Tokens < Math.Min(FewestTokens, calibration.Tokens) ? $"{Reached(inputs)}, fewer than {FewestTokens}" : null;
        if (blind is not null)
            steps = [.. steps.Select(step => step.WithoutInputs ?? throw new CoppiceException($"{name}: {blind}, and {step.Key} has no form that needs no inputs; use more calibration text or 'ignore'"))];
        Weight before = layer.Weight;
        if (steps.Count == 0 && before is not DenseWeight)
        {
            results.Add(new LayerResult(name, [], before.Kind, before.Rows, before.Columns, before.ByteCount, before.BitsPerWeight, before.Sparsity(), 0, inputs is not { Kind: Statistics.Gram } ? null : 0, 0, []));
            settings.Progress?.Report(new CompressionProgress(name, settings.DoneBefore + results.Count, settings.Total));
            return;
        }
        float[] original = before.ToDense();
        LayerWork work = new(name, before.Rows, before.Columns, original, settings.Pool)
        {
            // What an earlier pass pruned stays pruned.
            Mask = before is SparseWeight or TwoFourWeight ? Array.ConvertAll(original, value => value != 0) : null,
            Pattern = before is TwoFourWeight ? Packing.TwoOfFour : null,
            Inputs = blind is null ? inputs : null,
            Scores = scores.For(steps),
            Random = new Random(SeedOf(name)),
            Cancel = settings.Cancel,
        };
        if (blind is not null)
            work.Warnings.Add($"{name}: {blind}: it got {string.Join(", ", steps.Select(Shown))} in place of {string.Join(", ", plan.For(name).Select(Shown))}");
        foreach (WeightStep step in steps)
            plan.AsSpread(name, step)?.Apply(work);
        layer.Weight = Packing.Pack(work);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;

        (double norm, double distance) = Distance(original, layer.Weight);
        results.Add(new LayerResult(name, [.. steps.Select(step => step.Key)], layer.Weight.Kind, layer.Weight.Rows, layer.Weight.Columns, layer.Weight.ByteCount,
            layer.Weight.BitsPerWeight, layer.Weight.Sparsity(), norm == 0 ? 0 : distance / norm,
            inputs is not { Tokens: > 0, Kind: Statistics.Gram } ? null : LayerObjective.Relative(settings.Pool, original, layer.Weight, inputs.Gram), seconds, [.. work.Warnings])
        { Tokens = inputs?.Tokens });
        settings.Progress?.Report(new CompressionProgress(name, settings.DoneBefore + results.Count, settings.Total));
    }

    // Sums of squares: of the numbers, and of what they are off by as they are stored.
    static (double Norm, double Distance) Distance(float[] original, Weight stored)
    {
        double norm = 0, distance = 0;
        float[] row = new float[stored.Columns];
        for (int i = 0; i < stored.Rows; i++)
        {
            ReadOnlySpan<float> wanted = original.AsSpan(i * row.Length, row.Length);
            stored.Unpack(i, row);
            norm += TensorPrimitives.SumOfSquares(wanted);
            TensorPrimitives.Subtract(wanted, row, row);
            distance += TensorPrimitives.SumOfSquares<float>(row);
        }
        return (norm, distance);
    }

    // A method, and how it rounds where it can do so with inputs and without.
    static string Shown(WeightStep step) => step is GgufBlock block ? $"{step.Key} ({block.Rounding.ToString().ToLowerInvariant()})" : step.Key;

    string Reached(InputStatistics inputs) => $"{inputs.Tokens} of {calibration!.Tokens} calibration tokens reached it";

    /// <summary>Throws where a number is not finite, or past the largest f16, so that neither it nor a scale could be stored; before any work, so that hours are not lost.</summary>
    public static void CheckFinite(CompressionPlan plan, Model model)
    {
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            if (layer.Weight is not DenseWeight && plan.For(name).Count == 0)
                continue;
            foreach ((int first, ReadOnlyMemory<float> band) in RowBands.Of(layer.Weight))
                if (TensorPrimitives.IndexOfMaxMagnitude(band.Span) is >= 0 and int at && !(Math.Abs(band.Span[at]) <= (float)Half.MaxValue))
                    throw new CoppiceException($"{name}: the weight at row {first + at / layer.Weight.Columns}, column {at % layer.Weight.Columns} is {band.Span[at]}, wanted a finite number of at most {(float)Half.MaxValue}; the model is damaged or cannot be stored in halves");
        }
    }

    // FNV-1a: the same on every machine and in every process, whichever matrices are done in this one.
    int SeedOf(string name)
    {
        uint hash = 2166136261;
        foreach (byte value in Encoding.UTF8.GetBytes($"{settings.Seed} {name}"))
            hash = (hash ^ value) * 16777619;
        return (int)hash;
    }
}

/// <summary>What a <see cref="LayerPass"/> works with, and its place among a recipe's passes.</summary>
sealed record PassSettings(WorkerPool Pool, int Seed, IProgress<CompressionProgress>? Progress, CancellationToken Cancel)
{
    /// <summary>The journal's number of its first part.</summary>
    public int FirstPart { get; init; }

    /// <summary>Matrices that earlier passes have done.</summary>
    public int DoneBefore { get; init; }

    /// <summary>Matrices of all passes.</summary>
    public int Total { get; init; }

    /// <summary>What is known of inputs where no calibration looks at them, or null.</summary>
    public GivenInputs? Given { get; init; }

    /// <summary>How many blocks, from the first on, where not all, and then nothing outside them.</summary>
    public int? Blocks { get; init; }
}

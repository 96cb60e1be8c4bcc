using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Coppice.Compression.Prune;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Runs a recipe over a model: its steps over matrices in passes (see <see cref="LayerPass"/>), and between them those that make another model.</summary>
public sealed class CompressionPipeline(Recipe recipe, WorkerPool pool)
{
    /// <summary>Fixes every draw.</summary>
    public int Seed { get; init; }

    /// <summary>How many of the calibration sequences each of its texts has, in order; empty where all are one text.</summary>
    public ImmutableArray<int> Texts { get; init; } = [];

    /// <summary>What enters each matrix, for steps that look at mean squares of inputs; in place of calibration text. Null where there is none.</summary>
    public ImportanceMatrix? Importance { get; init; }

    /// <summary>Those who hold the text, in place of calibration text; null where the text is here.</summary>
    public ITextHolders? Holders { get; init; }

    /// <summary>Draws tokens of the text that calibration is drawn from, as sequences, for steps that train; null where there is none.</summary>
    public Func<int, IReadOnlyList<int[]>>? Text { get; init; }

    /// <summary>Reads the model again that the run began with, for steps that ask it; null where none may.</summary>
    public Func<Model>? Base { get; init; }

    /// <summary>Replaces the model's matrices by packed ones; those that no step edits become f16 where they were f32. If it throws, the model is part changed and to be loaded again.</summary>
    /// <param name="model">Dense, f32 or 16 bits a number, or pruned.</param>
    /// <param name="calibration">Token sequences, each at most the model's context long; empty where no step needs them, but then outputs' errors are not measured.</param>
    /// <param name="journal">Where finished blocks are kept and found again, or null.</param>
    /// <param name="progress">Told after every matrix.</param>
    /// <param name="cancel">Stops the run.</param>
    /// <exception cref="CoppiceException">The recipe does not fit the model, or a weight or an activation is not finite.</exception>
    public CompressionReport Run(Model model, IReadOnlyList<int[]> calibration, Journal? journal = null, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default)
    {
        RecipePlan plan = new(recipe, model);
        if (Holders is not null && plan.NeedsTextItself is { } looks)
            throw new CoppiceException($"recipe '{recipe.Name}': {looks} looks at whole texts, and those who hold them tell no more than sums of inputs; leave it out");
        if (Holders is not null && (model is not DecoderModel || calibration.Count > 0))
            throw new CoppiceException($"recipe '{recipe.Name}': text that others hold is for decoders and in place of calibration text; this is a {model.Family} model with {calibration.Count} sequences");
        if (calibration.Count == 0 && Holders is null && plan.NeedsText && (Importance is null || plan.NeedsMoreThanNorms))
            throw new CoppiceException($"recipe '{recipe.Name}' needs calibration text and there is none{(Importance is null ? "" : "; an importance matrix has mean squares of inputs alone")}");
        GivenInputs? given = Importance is null ? null : new GivenInputs(model, Importance);
        if (calibration.Count > 0 && model.SourceBlocks.Count > 0)
            throw new CoppiceException($"recipe '{recipe.Name}': a {model.Family} model is calibrated by pairs of texts, which are not taken yet; use steps that need no calibration text");
        if (!Texts.IsEmpty && Texts.Sum() != calibration.Count)
            throw new ArgumentException($"CompressionPipeline: texts of {Texts.Sum()} sequences together, and {calibration.Count} sequences");
        long start = Stopwatch.GetTimestamp(), bytesBefore = model.ByteCount, tokens = 0, scoreBytes = 0;
        Dictionary<string, LayerResult> results = new(StringComparer.Ordinal);
        List<string> warnings = [], notes = [];
        int resumed = 0, total = plan.Phases.Sum(phase => phase.Steps.IsEmpty ? 1 : model.Matrices().Count()), done = 0;
        foreach (RecipePhase phase in plan.Phases)
        {
            if (phase.Model is { } step)
            {
                (model, bool found, long read) = Remade(step, phase, model, calibration, journal, warnings, notes, done, total, progress, cancel);
                tokens = Math.Max(tokens, read);
                resumed += found ? 1 : 0;
                progress?.Report(new CompressionProgress(step.Key, ++done, total));
                continue;
            }
            CompressionPlan steps = new(recipe.Name, phase.Steps, phase.FirstStep, model);
            LayerPass.CheckFinite(steps, model);
            using PreparedScores scores = new(steps, model, Split(calibration), pool, progress, cancel);
            steps.Spread(model, Split(calibration), pool, cancel);
            scoreBytes = Math.Max(scoreBytes, scores.ByteCount);
            IInputSource? states = calibration.Count > 0 ? new Calibration(model, calibration, pool) : steps.MostNeeded == Statistics.None ? null : Holders?.Inputs(model);
            LayerPass pass = new(steps, scores, model, states, journal,
                new PassSettings(pool, phase.SeedOf(Seed), progress, cancel) { FirstPart = phase.FirstPart, DoneBefore = done, Total = total, Given = given });
            foreach (LayerResult result in pass.Run())
                results[result.Name] = results.TryGetValue(result.Name, out LayerResult? earlier) ? result with { Steps = [.. earlier.Steps, .. result.Steps], Warnings = [.. earlier.Warnings, .. result.Warnings] } : result;
            done += model.Matrices().Count();
            resumed += pass.Resumed;
            tokens = Math.Max(tokens, states?.Tokens ?? 0);
        }
        Dictionary<string, Weight> stored = model.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight);
        List<LayerResult> layers = [.. results.Keys.Union(stored.Keys).Where(stored.ContainsKey).Select(name => AsStored(results.GetValueOrDefault(name), name, stored[name]))];
        double zeros = layers.Sum(layer => layer.Sparsity * layer.Rows * layer.Columns), all = layers.Sum(layer => (double)layer.Rows * layer.Columns);
        return new CompressionReport(recipe.ToYaml(), [.. layers], tokens, bytesBefore, model.ByteCount, model.BitsPerWeight, zeros / all, resumed, Stopwatch.GetElapsedTime(start).TotalSeconds)
        {
            Model = model,
            ScoreBytes = scoreBytes,
            Notes = [.. notes],
            ModelWarnings = [.. warnings],
        };
    }

    // The calibration sequences, text by text.
    IReadOnlyList<IReadOnlyList<int[]>> Split(IReadOnlyList<int[]> calibration)
    {
        if (Texts.IsEmpty)
            return calibration.Count == 0 ? [] : [calibration];
        int start = 0;
        return [.. Texts.Select(count => (IReadOnlyList<int[]>)[.. calibration.Skip((start += count) - count).Take(count)])];
    }

    // Another model, or the one that an earlier run made of it; and the tokens of text that it took.
    (Model Model, bool Found, long Tokens) Remade(ModelStep step, RecipePhase phase, Model model, IReadOnlyList<int[]> calibration, Journal? journal, List<string> warnings, List<string> notes, int done, int total, IProgress<CompressionProgress>? progress, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        long read = step.NeedsCalibration ? calibration.Sum(sequence => (long)sequence.Length) : 0;
        if (journal?.ReadModel(phase.FirstPart) is { } earlier)
        {
            notes.AddRange(earlier.Notes);
            return (earlier.Model, true, read);
        }
        ModelWork work = new()
        {
            Model = model,
            Calibration = calibration,
            Text = Text is null ? null : Drawn,
            Holders = Holders,
            Base = Base,
            Checkpoint = journal?.PlaceFor($"part-{phase.FirstPart:D5}.training"),
            Pool = pool,
            Random = new Random(phase.SeedOf(Seed)),
            Cancel = cancel,
            Progress = progress is null ? null : new StepProgress(step.Key, done, total, progress),
        };
        Model made = step.Apply(work);
        warnings.AddRange(work.Warnings);
        notes.AddRange(work.Notes);
        return (journal is null ? made : journal.WriteModel(phase.FirstPart, made, work.Notes), false, read);

        IReadOnlyList<int[]> Drawn(int count)
        {
            IReadOnlyList<int[]> drawn = Text!(count);
            read += drawn.Sum(sequence => (long)sequence.Length);
            return drawn;
        }
    }

    sealed class StepProgress(string step, int done, int total, IProgress<CompressionProgress> progress) : IProgress<double>
    {
        public void Report(double value) => progress.Report(new CompressionProgress(string.Create(CultureInfo.InvariantCulture, $"{step} {value:P0}"), done, total));
    }

    // A step that came after a matrix's own may have stored it anew.
    static LayerResult AsStored(LayerResult? result, string name, Weight weight) =>
        result is not null && result.Kind == weight.Kind && result.Bytes == weight.ByteCount && result.Rows == weight.Rows && result.Columns == weight.Columns ? result
        : new LayerResult(name, result?.Steps ?? [], weight.Kind, weight.Rows, weight.Columns, weight.ByteCount, weight.BitsPerWeight, weight.Sparsity(), result?.WeightError ?? 0, result?.OutputError, result?.Seconds ?? 0, result?.Warnings ?? []);
}

using System.CommandLine;
using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Models;

namespace Coppice.Cli;

/// <summary>coppice compress: runs a recipe over a model and writes the result.</summary>
static class CompressCommand
{
    const int DefaultCalibrationTokens = 16_384;

    public static readonly Option<string?> RecipePath = Options.Text("--recipe", "FILE", "The recipe, in YAML");
    public static readonly Option<Recipe?> Preset = Options.Named("--to", "PRESET", $"A recipe by name: {string.Join(", ", Presets.Names)}", Presets.Get);
    public static readonly Option<string[]> Calibrate = new("--calibrate") { Description = $"Text that methods look at activations on, or several, each with its own --calibrate, for multiTask: {TextArgument.Specs}; sdk:train for grove", HelpName = "TEXT" };
    public static readonly Option<int> CalibrationTokens = Options.Integer("--calibration-tokens", "Tokens of each, drawn with --seed", value: DefaultCalibrationTokens, least: 1);
    static readonly Option<string?> Importance = Options.Text("--imatrix", "FILE", "An importance matrix in place of --calibrate, for methods that look at no more than inputs' mean squares: ours or llama.cpp's, .gguf or .dat");
    public static readonly Option<string> Output = new("--output", "-o") { Description = "What to write: NAME.gguf, or a Hugging Face folder", HelpName = "OUT", Required = true };
    public static readonly Option<bool> AllowRequantize = new("--allow-requantize") { Description = "Round again what OUT's format cannot hold exactly, instead of failing" };

    public static Command Create()
    {
        Command command = new("compress", "Runs a recipe over a model; interrupted, the same command goes on after the last finished block")
        {
            ModelArgument.Model, RecipePath, Preset, BudgetOption.Budget, BudgetOption.Among, BudgetOption.Tokens, Calibrate, CalibrationTokens, Importance, Output, AllowRequantize,
            Gates.MaxKl, Gates.MaxSize, Gates.Measure, Gates.MeasureTokens, TextArgument.Documents, TextArgument.Sdk,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string name = parsed.GetRequiredValue(ModelArgument.Model);
        CompressedOutput output = new(parsed.GetRequiredValue(Output), parsed.GetValue(AllowRequantize));
        Recipe? given = BudgetOption.Wanted(parsed) is null ? ReadRecipe(parsed) : null;
        output.CheckTarget(name);
        ImportanceMatrix? importance = parsed.GetValue(Importance) is { } file ? ImportanceMatrix.Read(file) : null;
        bool isGiven = parsed.GetValue(Calibrate) is { Length: > 0 };
        if (importance is not null && (isGiven || given is null))
            throw new MisuseException($"--imatrix and {(isGiven ? "--calibrate" : "--budget")} are both given; wanted one");
        string[] texts = importance is null ? CalibrationSpecs(name, parsed) : [];
        Gates gates = new(parsed, texts);

        using OpenModel model = OpenModel.Open(ModelArgument.PathOf(name));
        LanguageModel language = model.Language;
        gates.CheckText(language, parsed, cancel);
        BudgetResult? budget = BudgetOption.Search(session, language, name, texts, output, parsed, cancel);
        Recipe recipe = given is null ? budget!.Recipe : importance is null ? given : Weighing(given);
        RecipePlan plan = output.Check(language.Model, recipe);
        if (importance is not null && (plan.NeedsMoreThanNorms || !plan.NeedsText))
            throw new MisuseException(plan.NeedsText ? $"recipe '{recipe.Name}' looks at more than inputs' mean squares, which are all that --imatrix tells; give --calibrate: {TextArgument.Specs}"
                : $"recipe '{recipe.Name}' looks at no inputs: --imatrix would do nothing");
        bool rounds = output.IsGguf ? StreamedRounding.Rounds(recipe) : StreamedIntegers.Rounds(recipe);
        if (rounds && !isGiven && (output.IsGguf ? StreamedRounding.Streams(language.Model) : StreamedIntegers.Streams(language.Model)))
            return RunStreamed(session, recipe, language, output, gates, parsed, cancel);
        bool looks = plan.NeedsText && importance is null;
        if (looks && texts.Length == 0)
            throw new MisuseException($"recipe '{recipe.Name}' looks at activations; --calibrate is missing: {TextArgument.Specs}");
        IReadOnlyList<int[]>[] drawn = looks || isGiven ? [.. texts.Select(spec => Draw(spec, parsed.GetValue(CalibrationTokens), language, session, parsed, cancel))] : [];
        IReadOnlyList<int[]> calibration = [.. drawn.SelectMany(text => text)];

        Journal journal = Journal.Open(output.Path, language.Model, recipe, calibration, session.Seed, importance);
        try
        {
            CompressionPipeline pipeline = new(recipe, session.Pool)
            {
                Seed = session.Seed,
                Texts = [.. drawn.Select(text => text.Count)],
                Text = texts.Length == 0 ? null : tokens => [.. texts.SelectMany(spec => Draw(spec, tokens / texts.Length, language, session, parsed, cancel))],
                Base = () => ModelArgument.Load(name).Model,
                Importance = importance,
            };
            CompressionReport report = session.Track("compressing", ticks => pipeline.Run(language.Model, calibration, journal,
                new Told<CompressionProgress>(progress => ticks.Report(new Tick((double)progress.Done / progress.Total, progress.Layer))), cancel));
            IReadOnlyList<GgufRounding> roundings = output.Build(language with { Model = report.Model }, journal, session.Pool);
            foreach (GgufRounding rounding in roundings)
                session.Say($"rounded again: {rounding.Tensor}, {rounding.From} to {rounding.To}");
            CompressResult result = new(recipe, output.AsWritten(report), output, gates.Measured(session, output.Built!, name, parsed, cancel)) { Budget = budget };
            gates.Check(result, journal);
            output.Publish();
            journal.Delete();
            if (budget is not null)
                BudgetOption.Forget(output);
            result.Print(session);
            session.Document(result.Write);
            return ExitCode.Done;
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException("interrupted; the same command goes on after the last finished block", error);
        }
        finally
        {
            output.Discard();
            journal.DeleteIfEmpty();
        }
    }

    // As llama-quantize has it: blocks that would be rounded by their numbers alone are rounded by what the numbers are multiplied by.
    static Recipe Weighing(Recipe recipe) =>
        recipe with { Steps = [.. recipe.Steps.Select(step => step is GgufBlock { Rounding: BlockRounding.Nearest } block ? block with { Rounding = BlockRounding.Weighted } : step)] };

    // Rounding without calibration needs a look or two at each number: nothing is kept in memory, and nothing worth resuming.
    static int RunStreamed(Session session, Recipe recipe, LanguageModel model, CompressedOutput output, Gates gates, ParseResult parsed, CancellationToken cancel)
    {
        try
        {
            CompressionReport report = session.Track("compressing", ticks =>
            {
                Told<CompressionProgress> progress = new(progress => ticks.Report(new Tick((double)progress.Done / progress.Total, progress.Layer)));
                return output.Build(path => output.IsGguf
                    ? new StreamedRounding(recipe, session.Pool).Write(model, path, System.IO.Path.GetFileNameWithoutExtension(output.Path), progress, cancel)
                    : new StreamedIntegers(recipe, session.Pool).Write(model, path, progress, cancel));
            });
            CompressResult result = new(recipe, output.AsWritten(report), output, gates.Measured(session, output.Built!, parsed.GetRequiredValue(ModelArgument.Model), parsed, cancel));
            gates.Check(result, null);
            output.Publish();
            result.Print(session);
            session.Document(result.Write);
            return ExitCode.Done;
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException("interrupted; nothing was written", error);
        }
        finally
        {
            output.Discard();
        }
    }

    /// <summary>The texts of --calibrate, or where the model is grove its own.</summary>
    public static string[] CalibrationSpecs(string model, ParseResult parsed) => parsed.GetValue(Calibrate) is { Length: > 0 } given ? given : ModelArgument.IsGrove(model) ? ["sdk:train"] : [];

    /// <summary>So many tokens of a text, drawn with --seed.</summary>
    public static IReadOnlyList<int[]> Draw(string spec, int tokens, LanguageModel language, Session session, ParseResult parsed, CancellationToken cancel) =>
        CalibrationText.Draw(TextArgument.Open(spec, parsed, cancel), language.Tokenizer, language.Model.ContextLength, tokens, session.Seed);

    /// <summary>The recipe of --recipe or --to.</summary>
    public static Recipe ReadRecipe(ParseResult parsed) => (parsed.GetValue(RecipePath), parsed.GetValue(Preset)) switch
    {
        ({ } path, null) => RecipeReader.ReadFile(path),
        (null, { } preset) => preset,
        (null, null) => throw new MisuseException("neither --recipe FILE nor --to PRESET is given; wanted one"),
        _ => throw new MisuseException("--recipe and --to are both given; wanted one"),
    };
}

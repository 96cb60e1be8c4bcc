using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>--budget: the recipe is searched for.</summary>
static class BudgetOption
{
    public static readonly Option<SizeBudget?> Budget = Options.Named("--budget", "B", "In place of a recipe: choose for each matrix among several so that the result fits 3.5bpw, 60MB or 30ms/token and loses least", SizeBudget.Parse);
    public static readonly Option<string?> Among = Options.Text("--among", "LIST", "What --budget chooses among: presets and recipe files, with commas between them");
    public static readonly Option<int> Tokens = Options.Integer("--budget-tokens", "Tokens that --budget measures KL on", value: 2048, least: 2);

    static readonly CultureInfo Culture = CultureInfo.InvariantCulture;

    // Types of llama.cpp, and for inputs that their blocks do not divide the nearest in size.
    static readonly (string Type, string Otherwise)[] blocks = [("q2_k", "iq4_nl"), ("q3_k", "iq4_nl"), ("iq4_xs", "iq4_nl"), ("q4_k", "q4_1"), ("q5_k", "q5_1"), ("q6_k", "q8_0"), ("q8_0", "none")];

    // Codebooks take long to search, and have their place among few bits.
    static readonly string[] codebooks = ["iq2_xs", "iq3_xxs", "iq3_s"];

    // Bits a weight below which codebooks are among what is chosen from.
    const double FewBits = 4;

    static readonly string[] integers = ["{ bits: 2, groupSize: 32, symmetric: false", "{ bits: 3, groupSize: 32, symmetric: false", "{ bits: 4, groupSize: 128", "{ bits: 4, groupSize: 32", "{ bits: 8, groupSize: -1"];

    /// <summary>The budget, or null where none is given.</summary>
    public static SizeBudget? Wanted(ParseResult parsed)
    {
        if (parsed.GetValue(Budget) is not { } budget)
            return parsed.GetValue(Among) is null ? null : throw new MisuseException("--among is for --budget, which is missing");
        if (parsed.GetValue(CompressCommand.RecipePath) is not null || parsed.GetValue(CompressCommand.Preset) is not null)
            throw new MisuseException("--budget is given beside --recipe or --to; wanted one of them");
        return budget;
    }

    /// <summary>The recipe that fits; null where no budget is given.</summary>
    public static BudgetResult? Search(Session session, LanguageModel language, string name, string[] texts, CompressedOutput output, ParseResult parsed, CancellationToken cancel)
    {
        if (Wanted(parsed) is not { } budget)
            return null;
        if (texts.Length == 0)
            throw new MisuseException($"--budget measures on text; --calibrate is missing: {TextArgument.Specs}");
        IReadOnlyList<Recipe> recipes = Recipes(parsed.GetValue(Among), output.IsGguf, language.Model, budget);
        foreach (Recipe recipe in recipes)
            output.Check(language.Model, recipe);
        int tokens = parsed.GetValue(CompressCommand.CalibrationTokens);
        IReadOnlyList<int[]> calibration = [.. texts.SelectMany(spec => CompressCommand.Draw(spec, tokens, language, session, parsed, cancel))];
        // Other documents than those that recipes calibrate on, as far as the text has them.
        IReadOnlyList<int[]> slice = CalibrationText.Draw(TextArgument.Open(texts[0], parsed, cancel), language.Tokenizer, language.Model.ContextLength, parsed.GetValue(Tokens), session.Seed + 1);
        List<OpenModel> open = [];
        BudgetSearch search = new(() => ModelArgument.Load(name).Model, session.Pool)
        {
            Seed = session.Seed,
            Tokens = parsed.GetValue(Tokens),
            Folder = FolderOf(output),
            WrittenBytes = model => output.Measure(language with { Model = model }),
            WrittenBytesOf = (matrix, weight) => ModelStorage.BytesOf(language.Model, matrix, weight, output.IsGguf),
            Together = ModelStorage.Together(language.Model, output.IsGguf),
            Open = () =>
            {
                open.Add(OpenModel.Open(ModelArgument.PathOf(name)));
                return open[^1].Language.Model;
            },
        };
        try
        {
            BudgetResult found = session.Track("searching", ticks => search.Run(recipes, budget, calibration, slice,
                new Told<CompressionProgress>(progress => ticks.Report(new Tick((double)progress.Done / progress.Total, progress.Layer))), cancel));
            Print(session, found);
            return found;
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException("interrupted; the same command goes on with the search where it was", error);
        }
        finally
        {
            open.ForEach(model => model.Dispose());
        }
    }

    /// <summary>Lets go of what the search kept, once the output is safe.</summary>
    public static void Forget(CompressedOutput output)
    {
        if (Directory.Exists(FolderOf(output)))
            Directory.Delete(FolderOf(output), recursive: true);
    }

    static string FolderOf(CompressedOutput output) => Path.GetFullPath(output.Path) + ".search";

    static IReadOnlyList<Recipe> Recipes(string? among, bool isGguf, Model model, SizeBudget budget)
    {
        if (among is not null)
        {
            string[] names = among.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            return names.Length > 1 ? [.. names.Select(Named)] : throw new MisuseException($"--among names {(names.Length == 0 ? "nothing" : $"'{names[0]}' alone")}, wanted two or more presets or recipe files, with commas between them");
        }
        double bits = budget.Unit switch { BudgetUnit.BitsPerWeight => budget.Amount, BudgetUnit.Bytes => 8 * budget.Amount / model.ParameterCount, _ => FewBits };
        return [.. isGguf
            ? codebooks.Where(_ => bits < FewBits).Select(type => (Type: type, Otherwise: "iq4_nl")).Concat(blocks).Select(block => Read(block.Type, $"ggufBlock: {{ type: {block.Type}, otherwise: {block.Otherwise}, rounding: gptq, targets: \"*\" }}"))
            : integers.Where(options => Fits(options, model)).Select(options => Read(options, $"gptq: {options} }}"))];

        static Recipe Named(string name) => File.Exists(name) ? RecipeReader.ReadFile(name)
            : Presets.Names.Contains(name.ToLowerInvariant()) ? Presets.Get(name)
            : throw new MisuseException($"--among names '{name}', which is neither a file nor a preset; the nearest is '{NearestName.Of(name, Presets.Names)}'");

        static Recipe Read(string name, string step) => RecipeReader.Parse($"name: \"{name.Trim('{', ' ')}\"\nsteps:\n- {step}", "budget");
    }

    /// <summary>A value and its standard error, if there was text enough to know one.</summary>
    public static string WithError(double value, double error) => double.IsFinite(error) ? string.Create(Culture, $"{value:0.00000} ± {error:0.00000}") : string.Create(Culture, $"{value:0.00000}");

    static bool Fits(string options, Model model) => !options.Contains("groupSize: 128", StringComparison.Ordinal) || model.Matrices().All(matrix => matrix.Layer.Weight.Columns % 128 == 0);

    static void Print(Session session, BudgetResult found)
    {
        session.Table(["variant", "bytes", "bits/weight", .. found.Chosen.Milliseconds is null ? Array.Empty<string>() : ["ms/token"], "KL, predicted", "KL, measured"], found.Front.Select(point => (string[])
        [
            point.Name, point.Bytes.ToString("N0", Culture), point.BitsPerWeight.ToString("0.000", Culture),
            .. point.Milliseconds is { } time ? [time.ToString("0.000", Culture)] : Array.Empty<string>(),
            point.Predicted.ToString("0.00000", Culture), WithError(point.Kl, point.StandardError),
        ]));
        session.Table(["matrices", "count", "chosen"], found.Choices.GroupBy(choice => choice.Matrix[(choice.Matrix.LastIndexOf('.') + 1)..]).Select(kind => (string[])
        [
            kind.Key, kind.Count().ToString(Culture), string.Join(", ", kind.GroupBy(choice => choice.Recipe).OrderByDescending(group => group.Count()).Select(group => $"{group.Count()} {group.Key}")),
        ]));
    }

    public static void Write(this BudgetResult found, Utf8JsonWriter json)
    {
        json.Array("front", found.Front, point =>
        {
            json.WriteString("name", point.Name);
            json.WriteNumber("bytes", point.Bytes);
            json.WriteNumber("bitsPerWeight", point.BitsPerWeight);
            json.Number("millisecondsPerToken", point.Milliseconds);
            json.WriteNumber("predictedKl", point.Predicted);
            json.WriteNumber("kl", point.Kl);
            json.Number("standardError", point.StandardError);
        });
        json.Array("choices", found.Choices, choice =>
        {
            json.WriteString("matrix", choice.Matrix);
            json.WriteString("recipe", choice.Recipe);
            json.WriteNumber("predictedKl", choice.Loss);
        });
    }
}

using System.Globalization;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Bench;

/// <summary>The default model, the text that tables measure it on, and recipes over it; run from the repository's root.</summary>
public sealed class Grove(int testDocuments) : IDisposable
{
    const string Folder = "assets/grove";
    const int SpeedPrompt = 16, SpeedRounds = 25;

    readonly Corpus train = Corpus.Open("sdk:train");
    readonly string written = Path.Combine(Path.GetTempPath(), $"grove-{Environment.ProcessId}");

    /// <summary>All of the machine's threads.</summary>
    public WorkerPool Pool { get; } = new(Environment.ProcessorCount);

    /// <summary>The model as it ships, 16 bits a number.</summary>
    public LanguageModel Base { get; } = Read();

    /// <summary>The first documents of <c>sdk:test</c>.</summary>
    public EvaluationText Text => field ??= EvaluationText.Create(
        new Corpus("sdk:test, first documents", [.. Corpus.Open("sdk:test").Documents.Take(testDocuments)]), Base.Tokenizer, Protocol.Documents(Base.Model.ContextLength));

    /// <summary>The model, read again.</summary>
    public static LanguageModel Read() => LanguageModel.Load(Folder);

    /// <summary>Steps in YAML, a | between two.</summary>
    public static Recipe Recipe(string steps) => RecipeReader.Parse($"name: bench\nsteps:\n{string.Concat(steps.Split('|').Select(step => $"  - {step}\n"))}", "bench");

    /// <summary>Tokens of <c>sdk:train</c>, drawn by a seed.</summary>
    public IReadOnlyList<int[]> Calibration(int tokens, int seed) => CalibrationText.Draw(train, Base.Tokenizer, Base.Model.ContextLength, tokens, seed);

    /// <summary>Windows of <c>sdk:train</c> to train on.</summary>
    public TokenWindows Windows(int contextLength, int seed) => new(TokenWindows.Tokenize(Base.Tokenizer, train.Documents), contextLength, seed);

    /// <summary>Whether a recipe looks at text.</summary>
    public static bool Reads(Recipe recipe) => new RecipePlan(recipe, Read().Model).NeedsText;

    /// <summary>Whether a seed changes what a recipe gives.</summary>
    public static bool Draws(Recipe recipe) => Reads(recipe) || recipe.ToYaml().Contains("random", StringComparison.Ordinal);

    /// <summary>The recipe over the model; steps that train have the model itself for a teacher.</summary>
    public CompressionReport Compress(Recipe recipe, IReadOnlyList<int[]> calibration, int seed) =>
        new CompressionPipeline(recipe, Pool) { Seed = seed, Base = () => Read().Model, Text = tokens => Calibration(tokens, seed) }.Run(Read().Model, calibration);

    /// <summary>The model as its file holds it, GGUF where it has GGUF's blocks and otherwise a folder: written, and read again.</summary>
    public LanguageModel Written(Model model)
    {
        if (model.Matrices().Any(matrix => matrix.Layer.Weight is BlockWeight))
        {
            (Base with { Model = model }).SaveGguf(written + ".gguf");
            return LanguageModel.Load(written + ".gguf");
        }
        (Base with { Model = model }).Save(written);
        return LanguageModel.Load(written);
    }

    /// <summary>What was lost against the base.</summary>
    public Comparison Cost(Model model) => Comparison.Measure(Base.Model, model, Text, Pool);

    /// <summary>Tokens a second, and against the base's, as <c>coppice eval --base</c> has it: both generate in turn after the first tokens of the text; medians of the rounds.</summary>
    public (double TokensPerSecond, double Ratio) Speed(Model model)
    {
        ReadOnlySpan<int> prompt = Text.Documents[0].Ids.Span;
        IReadOnlyList<Speed> speeds = SpeedProbe.Measure([model, Base.Model], prompt[..Math.Min(SpeedPrompt, prompt.Length)], Pool, new SpeedOptions { Rounds = SpeedRounds });
        return (speeds[0].TokensPerSecond, speeds[0].TokensPerSecond / speeds[1].TokensPerSecond);
    }

    /// <summary>Begins a table's page: its title, command and machine.</summary>
    public static void Title(string title, string program)
    {
        Print($"# {title}\n");
        Print($"`dotnet run -c Release bench/{program}`, from the repository's root. {SystemInfo.Current()}.");
    }

    /// <summary>A line, the same in every country.</summary>
    public static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>The standard deviation of several numbers; null of one.</summary>
    public static double? Spread(IReadOnlyCollection<double> values)
    {
        double mean = values.Average();
        return values.Count > 1 ? Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1)) : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Pool.Dispose();
        if (Directory.Exists(written))
            Directory.Delete(written, recursive: true);
        File.Delete(written + ".gguf");
    }
}

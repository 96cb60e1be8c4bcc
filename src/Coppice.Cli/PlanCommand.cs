using System.CommandLine;
using System.Globalization;
using Coppice.Compression;
using Coppice.Models;

namespace Coppice.Cli;

/// <summary>coppice plan: what a recipe will cost, before it is run.</summary>
static class PlanCommand
{
    public static Command Create()
    {
        Command command = new("plan", "Tells time, memory, disk and size of a compression before it is run, from doing its first block")
        {
            ModelArgument.Model, CompressCommand.RecipePath, CompressCommand.Preset, CompressCommand.Calibrate, CompressCommand.CalibrationTokens, TextArgument.Documents, TextArgument.Sdk,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        Recipe recipe = CompressCommand.ReadRecipe(parsed);
        string name = parsed.GetRequiredValue(ModelArgument.Model);
        using OpenModel open = OpenModel.Open(ModelArgument.PathOf(name));
        Model model = open.Language.Model;
        bool needsText = new RecipePlan(recipe, model).NeedsText;
        // Without a text the time is that of as much of any.
        string[] specs = CompressCommand.CalibrationSpecs(name, parsed);
        IReadOnlyList<int[]> text = !needsText ? []
            : specs.Length > 0 ? [.. specs.SelectMany(spec => CompressCommand.Draw(spec, parsed.GetValue(CompressCommand.CalibrationTokens), open.Language, session, parsed, cancel))]
            : RecipeForecast.RandomText(model, parsed.GetValue(CompressCommand.CalibrationTokens), session.Seed);
        int tokens = text.Sum(sequence => sequence.Length);
        string scratch = Directory.CreateTempSubdirectory("coppice-plan-").FullName;
        RecipeForecast forecast = session.Track("doing the first block", _ => RecipeForecast.Measure(recipe, model, text, scratch, session.Pool, cancel, texts: Math.Max(1, specs.Length), reload: () => ModelArgument.Load(name).Model));
        CultureInfo culture = CultureInfo.InvariantCulture;
        session.Table(["matrices", "stored as"], forecast.Kinds.Select(kind => (string[])[kind.Key, kind.Value]));
        session.Facts(
        [
            ("time", TimeSpan.FromSeconds(Math.Ceiling(forecast.Seconds)).ToString("c", culture)),
            ("peak memory", ByteSize.Show(forecast.PeakBytes)),
            ("disk while it runs", ByteSize.Show(forecast.JournalBytes + forecast.OutputBytes)),
            ("output", $"{ByteSize.Show(forecast.OutputBytes)}, {forecast.BitsPerWeight.ToString("0.000", culture)} bits a weight; the model has {ByteSize.Show(model.ByteCount)}"),
            ("calibration tokens", tokens.ToString("N0", culture)),
            ("runtimes", string.Join(", ", forecast.Runtimes)),
        ]);
        session.Document(json =>
        {
            json.WriteString("recipe", recipe.ToYaml());
            json.WriteNumber("seconds", forecast.Seconds);
            json.WriteNumber("peakBytes", forecast.PeakBytes);
            json.WriteNumber("outputBytes", forecast.OutputBytes);
            json.WriteNumber("journalBytes", forecast.JournalBytes);
            json.WriteNumber("bitsPerWeight", forecast.BitsPerWeight);
            json.WriteNumber("calibrationTokens", tokens);
            json.Array("kinds", forecast.Kinds, kind =>
            {
                json.WriteString("matrices", kind.Key);
                json.WriteString("kind", kind.Value);
            });
            json.WriteStartArray("runtimes");
            foreach (string runtime in forecast.Runtimes)
                json.WriteStringValue(runtime);
            json.WriteEndArray();
        });
        return ExitCode.Done;
    }
}

using System.CommandLine;
using System.Text.Json;

namespace Coppice.Cli.Quickstart;

/// <summary>coppice quickstart: the whole story on the embedded model and text.</summary>
static class QuickstartCommand
{
    static readonly Option<string> Output = new("--output", "-o") { Description = "The folder to write", HelpName = "DIR", DefaultValueFactory = _ => "coppice-quickstart" };

    public static Command Create()
    {
        Command command = new("quickstart", "The whole story on the embedded model and text: federated fine-tuning, pruning, quantizing, measuring, explaining, writing") { Output };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        QuickstartResult result = new QuickstartStory(session, parsed.GetRequiredValue(Output), cancel).Tell();
        session.Line();
        VariantTable.Print(session, result.Variants);
        session.Line($"report    {result.Report}");
        foreach (Report.Data.Artifact artifact in result.Artifacts)
            session.Line($"artifact  {artifact.Path}  ({artifact.Description})");
        session.Document(json => Write(json, result));
        return ExitCode.Done;
    }

    static void Write(Utf8JsonWriter json, QuickstartResult result)
    {
        json.Array("steps", result.Steps, step =>
        {
            json.WriteString("name", step.Name);
            json.WriteNumber("seconds", Math.Round(step.Seconds, 3));
        });
        Write("base", QuickstartVariants.Base);
        Write("compressed", QuickstartVariants.Deployed.Name);
        json.Array("variants", result.Variants, variant => VariantTable.Write(json, variant));
        json.WriteString("report", result.Report);
        json.WriteStartArray("artifacts");
        foreach (Report.Data.Artifact artifact in result.Artifacts)
            json.WriteStringValue(artifact.Path);
        json.WriteEndArray();

        void Write(string key, string variant)
        {
            json.WriteStartObject(key);
            VariantTable.Write(json, result.Variants.Single(candidate => candidate.Name == variant));
            json.WriteEndObject();
        }
    }
}

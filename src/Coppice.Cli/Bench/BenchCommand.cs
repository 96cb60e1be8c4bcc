using System.CommandLine;
using System.Globalization;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Cli.Bench;

/// <summary>coppice bench: what this machine can do, and how close the kernels and a model come to it.</summary>
static class BenchCommand
{
    static readonly Argument<string?> Model = new("model") { Description = "A model to time from end to end; without it, grove", Arity = ArgumentArity.ZeroOrOne };
    static readonly Option<int> Prompt = Options.Integer("--prompt-tokens", "Tokens of the prompt that is timed", value: 512, least: 2);
    static readonly Option<int> Tokens = Options.Integer("--tokens", "Tokens generated in a round", value: 64, least: 2);
    static readonly Option<int> Rounds = Options.Integer("--rounds", "Timed rounds, of which the median counts", value: 9, least: 1);
    static readonly Option<int> Rows = Options.Integer("--rows", "Outputs of the matrices that kernels are timed with", value: 16384, least: 64);
    static readonly Option<string?> Only = Options.Text("--only", "KINDS", "Time only these kinds of weights, such as q8_0,f16");
    static readonly Option<bool> NoKernels = new("--no-kernels") { Description = "Only the machine and the model" };

    public static Command Create()
    {
        Command command = new("bench", "Measures the machine's limits, and kernels and a model as shares of them") { Model, Prompt, Tokens, Rounds, Rows, Only, NoKernels };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        int rounds = parsed.GetValue(Rounds);
        IReadOnlySet<string> kinds = parsed.GetValue(NoKernels) ? new HashSet<string>() : Kinds(parsed.GetValue(Only));
        LanguageModel language = ModelArgument.LoadDecoder(parsed.GetValue(Model) ?? "grove");
        MachineProbe probe = new(session.Pool);
        double[] reads = [.. Enumerable.Range(0, rounds).Select(_ => probe.ReadBytesPerSecond())], peaks = [.. Enumerable.Range(0, rounds).Select(_ => probe.PeakFlops())];
        double read = Turns.Median(reads), peak = Turns.Median(peaks);
        SystemInfo machine = SystemInfo.Current();
        session.Line($"{machine}, {session.Pool.Threads} thread(s)");
        session.Line(string.Create(CultureInfo.InvariantCulture, $"reads {read / 1e9:0.0} GB/s, multiplies and adds {peak / 1e9:0} GFLOP/s in float32\n"));

        List<KernelBench.Row> kernels = [];
        if (kinds.Count > 0)
        {
            KernelCheck.Run(kinds, session.Pool);
            session.Line($"{kinds.Count} kinds of weights: products at {machine.Simd} have the bits of their scalar twins\n");
            kernels = session.Track("kernels", progress => TimeKernels(parsed.GetValue(Rows), kinds, rounds, session.Pool, probe, progress, cancel));
        }
        if (kernels.Count > 0)
            PrintKernels(session, kernels);

        ModelBench.Result model = session.Track("model", progress => ModelBench.Measure(language.Model, parsed.GetValue(Prompt), parsed.GetValue(Tokens), rounds, session.Pool, probe, progress, cancel));
        PrintModel(session, language, model);
        session.Document(json =>
        {
            json.WriteString("machine", machine.ToString());
            json.WriteNumber("threads", session.Pool.Threads);
            json.Number("readBytesPerSecond", read);
            json.Number("peakFlops", peak);
            json.WriteStartArray("kernels");
            foreach (KernelBench.Row row in kernels)
            {
                json.WriteStartObject();
                json.WriteString("weight", row.Kind);
                json.WriteString("activations", row.Activations);
                json.WriteNumber("rows", row.Rows);
                json.WriteString("unit", row.Rows == 1 ? "bytes/s" : "operations/s");
                json.Number("rate", row.Rates.Ours);
                json.Number("share", row.Rates.Share);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartObject("model");
            json.WriteString("source", language.Source);
            json.WriteNumber("promptTokens", model.PromptTokens);
            json.Number("promptTokensPerSecond", model.Prompt.Ours);
            json.Number("promptShare", model.Prompt.Share);
            json.Number("tokensPerSecond", model.Generation.Ours);
            json.Number("generationShare", model.Generation.Share);
            json.Number("tokenSecondsP99", model.TokenSecondsP99);
            json.WriteEndObject();
        });
        return ExitCode.Done;
    }

    static HashSet<string> Kinds(string? only)
    {
        if (only is null)
            return [.. KernelBench.Kinds];
        HashSet<string> kinds = [.. only.Split(',')];
        foreach (string kind in kinds)
            if (!KernelBench.Kinds.Contains(kind))
                throw new MisuseException($"--only names '{kind}', wanted some of {string.Join(", ", KernelBench.Kinds)}");
        return kinds;
    }

    static readonly int[] RowCounts = [1, 8, 512];

    static List<KernelBench.Row> TimeKernels(int outputs, IReadOnlySet<string> kinds, int rounds, WorkerPool pool, MachineProbe probe, IProgress<Tick> progress, CancellationToken cancel)
    {
        const int Inputs = 4096;
        List<KernelBench.Row> rows = [];
        foreach (Weights.Weight weight in KernelBench.Weights(kinds, outputs, Inputs))
            foreach (int count in RowCounts)
            {
                progress.Report(new Tick((double)rows.Count / (kinds.Count * RowCounts.Length), $"{weight.Kind}, {count} rows"));
                rows.Add(KernelBench.Measure(weight, count, count == 512 ? Math.Min(rounds, 3) : rounds, pool, probe, cancel));
            }
        return rows;
    }

    static void PrintKernels(Session session, List<KernelBench.Row> kernels) => session.Table(
        ["weight", "activations", "1 row GB/s", "of read", "8 rows GOP/s", "of f32 peak", "512 rows GOP/s", "of f32 peak"],
        kernels.GroupBy(row => row.Kind).Select(kind =>
            (IReadOnlyList<string>)[kind.Key, kind.First().Activations, .. kind.SelectMany(row => new[] { Invariant($"{row.Rates.Ours / 1e9:0.0}"), Invariant($"{row.Rates.Share:0%}") })]));

    static void PrintModel(Session session, LanguageModel language, ModelBench.Result model) => session.Table(
        [language.Source, "tokens/s", "limit", "share"],
        [
            [Invariant($"prompt of {model.PromptTokens}"), Invariant($"{model.Prompt.Ours:0.0}"), Invariant($"{model.Prompt.Ceiling:0.0}"), Invariant($"{model.Prompt.Share:0%}")],
            ["generation", Invariant($"{model.Generation.Ours:0.0}"), Invariant($"{model.Generation.Ceiling:0.0}"), Invariant($"{model.Generation.Share:0%}")],
            ["99% of tokens within", Invariant($"{1e3 * model.TokenSecondsP99:0.00} ms"), "", ""],
        ]);

    static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}

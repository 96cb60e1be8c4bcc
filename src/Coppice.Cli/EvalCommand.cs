using System.CommandLine;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>coppice eval: how well a model predicts a text, against its base if there is one, and what it takes to run.</summary>
static class EvalCommand
{
    const int LongestContext = 2048, PromptTokens = 16;

    static readonly Option<string?> Base = Options.Text("--base", "MODEL", "The model that it was made from, to compare with token by token");
    static readonly Option<string?> Labelled = Options.Text("--task", "FILE", "Labelled texts for a classifier: a .tsv with a head line or a .jsonl, with sentence (or text), perhaps sentence2, and label");
    static readonly Option<string?> Data = Options.Text("--data", "TEXT", $"Text to measure on: {TextArgument.Specs}; sdk:test for grove");
    static readonly Option<int?> Context = Options.OptionalInteger("--context", $"Tokens in a window; the model's context by default, at most {LongestContext}", least: 2);
    static readonly Option<int?> Stride = Options.OptionalInteger("--stride", "Tokens from one window to the next of a document; none: one window a document, the rest is not scored, and of fewer than ten documents all windows");
    static readonly Option<int> MinimumCharacters = Options.Integer("--minimum-characters", "Documents with fewer characters are left out", value: 0);
    static readonly Option<int?> MaxTokens = Options.OptionalInteger("--max-tokens", "Measure on the first N tokens of the text", least: 2);
    static readonly Option<int> SpeedTokens = Options.Integer("--speed-tokens", "Tokens generated in each timed round; 0: no timing", value: 64);

    static readonly Option<string?> Memory = MemoryArgument.Create();
    static readonly Option<string?> Activations = ActivationArgument.Create("What integer matrices round their inputs to while scoring; f32 unless told otherwise", "int8-static");

    public static Command Create()
    {
        Command command = new("eval", "Measures how well a model predicts a text, what compression cost it, and its size, memory and speed")
        {
            ModelArgument.Model, Base, Labelled, Data, TextArgument.Documents, Context, Stride, MinimumCharacters, MaxTokens, SpeedTokens, Activations,
            ActivationArgument.Calibrate, ActivationArgument.Tokens, ActivationArgument.Range, ActivationArgument.FloatInputs, Memory, TextArgument.Sdk,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string name = parsed.GetRequiredValue(ModelArgument.Model);
        string? baseName = parsed.GetValue(Base);
        if (parsed.GetValue(Labelled) is { } task)
        {
            if (((Option[])[Data, TextArgument.Documents, Context, Stride, MinimumCharacters, MaxTokens, SpeedTokens, TextArgument.Sdk]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } other)
                throw new MisuseException($"{other.Name} is for texts without classes, and --task measures those with");
            return parsed.GetValue(Activations) == "int8-static"
                ? throw new MisuseException("--activations int8-static is for texts without classes")
                : ClassifierReport.Run(session, task, name, baseName, ActivationArgument.Of(parsed.GetValue(Activations), ActivationFormat.Float32), cancel);
        }
        string spec = parsed.GetValue(Data) ?? (ModelArgument.IsGrove(name) || ModelArgument.IsGrove(baseName) ? "sdk:test" : throw new MisuseException($"--data is missing: {TextArgument.Specs}"));
        LanguageModel language = ModelArgument.Load(name);
        LanguageModel? against = baseName is null ? null : ModelArgument.Load(baseName);
        if (against is not null && against.Tokenizer.Hash != language.Tokenizer.Hash)
            throw new CoppiceException($"{language.Source} and {against.Source} have different tokenizers: only models that read the same tokens compare");

        EvaluationText text = Cut(parsed, spec, language, against, cancel);
        session.Say($"text: {spec}, {text.Documents.Count:N0} document{(text.Documents.Count == 1 ? "" : "s")} in {text.Windows.Count:N0} window{(text.Windows.Count == 1 ? "" : "s")}, {text.ScoredTokens:N0} tokens to score{(parsed.GetValue(MaxTokens) is null ? " (fewer with --max-tokens)" : "")}");
        EvaluationOptions options = new() { Activations = ActivationArgument.Of(parsed.GetValue(Activations), ActivationFormat.Float32) };
        ActivationArgument.Prepare(session, parsed, name, language, options.Activations, cancel);
        if (against is not null)
            ActivationArgument.Prepare(session, parsed, baseName!, against, options.Activations, cancel);
        MemoryArgument.Apply(parsed.GetValue(Memory), language);
        Comparison? comparison = null;
        PerplexityScores scores = session.Track("scoring", ticks =>
        {
            Told<double> progress = new(share => ticks.Report(new Tick(share)));
            if (against is null)
                return Perplexity.Measure(language.Model, text, session.Pool, options, progress, cancel);
            comparison = Comparison.Measure(against.Model, language.Model, text, session.Pool, options, progress, cancel);
            return comparison.Compressed;
        });
        IReadOnlyList<LanguageModel> models = against is null ? [language] : [language, against];
        IReadOnlyList<Speed> speeds = Time(session, parsed.GetValue(SpeedTokens), models, text, cancel);
        EvalReport report = new(text, scores, comparison, [.. models.Select((model, i) => new ModelCost(model, speeds.ElementAtOrDefault(i)))]);
        report.Print(session);
        MemoryArgument.Tell(session, language);
        session.Document(report.Write);
        return ExitCode.Done;
    }

    static EvaluationText Cut(ParseResult parsed, string spec, LanguageModel language, LanguageModel? against, CancellationToken cancel)
    {
        int most = Math.Min(language.Model.ContextLength, against?.Model.ContextLength ?? int.MaxValue);
        int context = parsed.GetValue(Context) ?? Math.Min(most, LongestContext);
        Corpus corpus = TextArgument.Open(spec, parsed, cancel);
        if (parsed.GetValue(MaxTokens) is { } tokens)
            corpus = TextArgument.First(corpus, language.Tokenizer, tokens);
        Protocol protocol = (parsed.GetValue(Stride) is { } stride ? Protocol.Strided(context, stride) : Protocol.For(corpus, language.Tokenizer, context)) with { MinimumCharacters = parsed.GetValue(MinimumCharacters) };
        return EvaluationText.Create(corpus, language.Tokenizer, protocol, cancel);
    }

    // Greedy generation after the first tokens of the text, in turns.
    static IReadOnlyList<Speed> Time(Session session, int tokens, IReadOnlyList<LanguageModel> models, EvaluationText text, CancellationToken cancel)
    {
        ReadOnlyMemory<int> first = text.Documents[0].Ids;
        int prompt = Math.Min(PromptTokens, first.Length);
        tokens = Math.Min(tokens, models.Min(model => model.Model.ContextLength) - prompt);
        return tokens < 2 ? [] : session.Track("timing", ticks => SpeedProbe.Measure([.. models.Select(model => model.Model)], first.Span[..prompt], session.Pool,
            new SpeedOptions { Tokens = tokens }, new Told<double>(share => ticks.Report(new Tick(share))), cancel));
    }
}

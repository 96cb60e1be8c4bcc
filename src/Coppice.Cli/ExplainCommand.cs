using System.CommandLine;
using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json;
using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Report;
using Coppice.Report.Data;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Cli;

/// <summary>coppice explain: which tokens a model decides by and, against its base, what compression changed: which tokens, which layers.</summary>
static class ExplainCommand
{
    static readonly Option<string?> Base = Options.Text("--base", "MODEL", "The model that it was compressed from");
    static readonly Option<string?> Prompt = Options.Text("--text", "T", "A text whose next token is explained");
    static readonly Option<string?> Data = Options.Text("--data", "TEXT", $"Text to measure on: {TextArgument.Specs}; its first documents' beginnings are explained");
    static readonly Option<string?> Output = Options.Text("--output", "FILE", "The report to write, an .html file", "-o");
    static readonly Option<int> Steps = Options.Integer("--steps", "Points on the path of integrated gradients", new IntegratedGradients().Steps, least: 1);
    static readonly Option<int> Prompts = Options.Integer("--prompts", "Documents of --data whose beginnings are explained", 3, least: 1);
    static readonly Option<int> PromptTokens = Options.Integer("--prompt-tokens", "Tokens of such a beginning", 24, least: 1);
    static readonly Option<int> MaxTokens = Options.Integer("--max-tokens", "Tokens of --data to compare on", 8192, least: 2);
    static readonly Option<int> BlameTokens = Options.Integer("--blame-tokens", "Tokens of --data over which layers are exchanged", new LayerBlame().MaxTokens, least: 2);

    public static Command Create()
    {
        Command command = new("explain", "Shows which tokens decided and, against the base, what compression changed")
        {
            ModelArgument.Model, Base, Prompt, Data, TextArgument.Documents, TextArgument.Sdk, Output, Steps, Prompts, PromptTokens, MaxTokens, BlameTokens,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        if (parsed.GetValue(Prompt) is null == parsed.GetValue(Data) is null)
            throw new MisuseException("explain wants one of --text and --data");
        LanguageModel model = ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model));
        LanguageModel? reference = parsed.GetValue(Base) is { } path ? ModelArgument.LoadDecoder(path) : null;
        if (reference is not null && reference.Tokenizer.Hash != model.Tokenizer.Hash)
            throw new CoppiceException($"{model.Source} and {reference.Source} have different tokenizers: only models that read the same tokens compare");
        if (parsed.GetValue(Output) is { } file)
            CheckReport(file);
        EvaluationText? text = parsed.GetValue(Data) is { } spec ? Text(spec, model, parsed, cancel) : null;
        if (reference is not null && text?.Windows.Count == 1)
            throw new CoppiceException($"{parsed.GetValue(Data)}: is one window of {text.ScoredTokens:N0} tokens, wanted two or more to know the errors of what changed; take more text, or --documents line");
        IReadOnlyList<ReadOnlyMemory<int>> prompts = text is null ? [Encode(model, parsed.GetRequiredValue(Prompt)!)] : Beginnings(text, parsed.GetValue(Prompts), parsed.GetValue(PromptTokens));
        IntegratedGradients explainer = new() { Steps = parsed.GetValue(Steps) };

        ReportData data = reference is null
            ? Alone(session, model, prompts, explainer, cancel)
            : Against(session, reference, model, text, prompts, explainer, parsed.GetValue(BlameTokens), cancel);
        foreach (ExplainedPrompt prompt in data.Prompts)
            AttributionTable.Print(session, prompt, reference is null ? Explains.Model : Explains.Change);
        if (data.Agreement is { } agreement)
            AttributionTable.Print(session, agreement);
        if (data.Blame is { } blame)
            AttributionTable.Print(session, blame);
        if (data.Errors is { } errors)
            AttributionTable.Print(session, errors);
        string? report = parsed.GetValue(Output);
        if (report is not null)
        {
            AtomicFile.WriteText(report, ReportPage.RenderAsync(data with
            {
                Run = new RunFacts([$"coppice {string.Join(' ', parsed.Tokens.Select(token => token.Value))}"], [("Machine", SystemInfo.Current().ToString()), ("Model", model.Source), .. reference is null ? [] : new[] { ("Base", reference.Source) }]),
            }).GetAwaiter().GetResult());
            session.Say($"wrote {report}");
        }
        session.Document(json => Write(json, data, reference is null ? Explains.Model : Explains.Change, report));
        return ExitCode.Done;
    }

    static ReportData Alone(Session session, LanguageModel model, IReadOnlyList<ReadOnlyMemory<int>> prompts, IntegratedGradients explainer, CancellationToken cancel)
    {
        List<ExplainedPrompt> explained = [];
        foreach (ReadOnlyMemory<int> prompt in prompts)
        {
            int target = TensorPrimitives.IndexOfMax<float>(model.Model.ForwardLast(new Batch(prompt.Span), new ForwardContext(session.Pool)).Data);
            Attribution attribution = explainer.Explain(model.Model, session.Pool, prompt.Span, target, cancel);
            explained.Add(ReportParts.Explained(new AttributionPair(attribution, attribution), model.Tokenizer, "the same model"));
        }
        return new ReportData { Title = $"What {model.Source} decides by", Summary = $"How much each token moved the logit of the model's own next token, by {explainer}.", Prompts = explained };
    }

    static ReportData Against(Session session, LanguageModel reference, LanguageModel model, EvaluationText? text, IReadOnlyList<ReadOnlyMemory<int>> prompts, IntegratedGradients explainer, int blameTokens, CancellationToken cancel)
    {
        AgreementResult agreement = new AgreementStudy { Explainer = explainer, Seed = session.Seed }.Measure(reference.Model, model.Model, session.Pool, prompts, cancel: cancel);
        Comparison? comparison = text is null ? null : Comparison.Measure(reference.Model, model.Model, text, session.Pool, cancel: cancel);
        IReadOnlyList<ReadOnlyMemory<int>> windows = text is null ? [] : [.. text.Windows.Select(window => text.Documents[window.Document].Ids.Slice(window.Start, window.Length))];
        BlameResult? blame = text is null ? null : new LayerBlame { MaxTokens = blameTokens }.Measure(reference.Model, model.Model, session.Pool, windows, cancel: cancel);
        WeightErrorResult? errors = text is null ? null : new WeightErrors { MaxTokens = blameTokens, Seed = session.Seed }.Measure((DecoderModel)reference.Model, (DecoderModel)model.Model, session.Pool, windows, cancel);
        return new ReportData
        {
            Title = $"{model.Source} against {reference.Source}",
            Summary = comparison is null
                ? $"The next token of one text, explained in both models by {explainer}."
                : string.Create(CultureInfo.InvariantCulture, $"Over {text!.ScoredTokens:N0} tokens the next-token distribution moved by {comparison.Kl.Value:F4} ± {comparison.Kl.StandardError:F4} nats a token (KL); both prefer the same token {100 * comparison.Top1Agreement.Value:F1}% of the time."),
            Texts = comparison is null ? [] : [ReportParts.Compared(text!, comparison, model.Tokenizer, model.Source)],
            Prompts = [.. agreement.Pairs.Select(pair => ReportParts.Explained(pair, model.Tokenizer, model.Source))],
            Agreement = agreement,
            Blame = blame,
            Errors = errors,
            Scores = comparison is null ? [] : [.. comparison.Base.Scores.Select(score => new VariantScore(reference.Source, score)), .. comparison.Compressed.Scores.Concat(comparison.Scores).Select(score => new VariantScore(model.Source, score))],
        };
    }

    // A name that ends otherwise may be somebody's text.
    static void CheckReport(string file)
    {
        if (!Path.GetExtension(file).Equals(".html", StringComparison.OrdinalIgnoreCase) && !Path.GetExtension(file).Equals(".htm", StringComparison.OrdinalIgnoreCase))
            throw new MisuseException($"--output is '{file}', wanted an .html file to write");
        if (Directory.Exists(file))
            throw new MisuseException($"--output is '{file}', which is a folder");
    }

    static EvaluationText Text(string spec, LanguageModel model, ParseResult parsed, CancellationToken cancel)
    {
        Corpus corpus = TextArgument.First(TextArgument.Open(spec, parsed, cancel), model.Tokenizer, parsed.GetValue(MaxTokens));
        return EvaluationText.Create(corpus, model.Tokenizer, Protocol.For(corpus, model.Tokenizer, model.Model.ContextLength), cancel);
    }

    static ReadOnlyMemory<int> Encode(LanguageModel model, string text)
    {
        List<int> ids = [];
        if (model.Tokenizer.BosId is { } bos)
            ids.Add(bos);
        model.Tokenizer.Encode(text, ids);
        return ids.Count is > 0 && ids.Count <= model.Model.ContextLength
            ? ids.ToArray()
            : throw new MisuseException($"--text has {ids.Count} tokens, wanted 1 to {model.Model.ContextLength}");
    }

    static IReadOnlyList<ReadOnlyMemory<int>> Beginnings(EvaluationText text, int count, int tokens)
    {
        List<ReadOnlyMemory<int>> beginnings = [.. text.Documents.Where(document => document.Ids.Length >= tokens).Take(count).Select(document => document.Ids[..tokens])];
        return beginnings.Count > 0 ? beginnings : throw new CoppiceException($"no document of --data has {tokens} tokens; lower --prompt-tokens");
    }

    static void Write(Utf8JsonWriter json, ReportData data, Explains what, string? report)
    {
        json.Array("attributions", data.Prompts, prompt =>
        {
            json.WriteString("method", prompt.Pair.Base.Method);
            json.WriteString("target", prompt.TargetText);
            json.WriteStartArray("tokens");
            foreach (string token in prompt.TokenTexts)
                json.WriteStringValue(token);
            json.WriteEndArray();
            Write(json, what == Explains.Change ? "base" : "model", prompt.Pair.Base);
            if (what == Explains.Change)
                Write(json, "model", prompt.Pair.Compressed);
        });
        json.Array("agreement", data.Agreement?.Scores ?? [], score =>
        {
            json.WriteString("measure", score.Name);
            json.Number("value", score.Measured.Value);
            json.Number("floor", score.Floor.Value);
            json.Number("ceiling", score.Ceiling.Value);
            json.Number("rescaled", score.Rescaled?.Value);
        });
        json.Array("layers", data.Blame is { } blame ? blame.Stages.Concat(blame.Matrices) : [], part =>
        {
            json.WriteString("name", part.Matrix is null ? part.Name : $"{part.Name} {part.Matrix}");
            json.Number("removed", part.Removed.Value);
            json.Number("removedError", part.Removed.StandardError);
            json.Number("added", part.Added.Value);
            json.Number("addedError", part.Added.StandardError);
        });
        json.Array("weights", data.Errors?.Matrices ?? [], matrix =>
        {
            json.WriteString("name", matrix.Name);
            json.WriteString("kind", matrix.Kind);
            json.WriteNumber("relativeError", matrix.Relative);
            json.WriteStartArray("distribution");
            foreach (double value in matrix.Distribution)
                json.WriteNumberValue(value);
            json.WriteEndArray();
            json.WriteStartArray("channels");
            foreach (double value in matrix.Channels)
                json.WriteNumberValue(value);
            json.WriteEndArray();
            json.Number("predictedKl", matrix.Predicted.Value);
            json.Number("predictedKlError", matrix.Predicted.StandardError);
        });
        json.Number("predictedKl", data.Errors?.Predicted.Value);
        json.WriteString("report", report);
    }

    static void Write(Utf8JsonWriter json, string name, Attribution attribution)
    {
        json.WriteStartObject(name);
        json.WriteStartArray("scores");
        foreach (double score in attribution.Scores)
            json.WriteNumberValue(score);
        json.WriteEndArray();
        json.Number("residual", attribution.Residual);
        json.WriteEndObject();
    }
}

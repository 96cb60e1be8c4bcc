using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Coppice.Evaluation;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>coppice translate: translates a text, or a file line by line.</summary>
static class TranslateCommand
{
    // A name that stands for standard input.
    const string StandardInput = "-";

    static readonly Option<string?> Text = Options.Text("--text", "TEXT", "The text to translate");
    static readonly Option<string?> Lines = Options.Text("--lines", "FILE", "In place of --text: a file of a text a line, or - for standard input; a line comes out for each that goes in");
    static readonly Option<string[]> Reference = new("--reference") { Description = "How it should be translated: a file of a line for each that goes in, which the translations are scored by; may be given more than once", HelpName = "FILE" };
    static readonly Option<int> Beams = Options.Integer("--beams", "Translations that the search keeps at each token; 1 takes the likeliest token always", value: 6, least: 1);
    static readonly Option<int> MaxTokens = Options.Integer("--max-tokens", "The most tokens of a translation", value: 512, least: 1);
    static readonly Option<double> LengthPenalty = Options.Number("--length-penalty", "Candidates compare by their log probability over their length to this power; higher makes for longer ones", value: 1);
    static readonly Option<string?> Cache = KeyValueArgument.Create();
    static readonly Option<string?> Activations = ActivationArgument.Create("What integer matrices round their inputs to; int8 unless told otherwise");

    public static Command Create()
    {
        Command command = new("translate", "Translates a text, or a file line by line") { ModelArgument.Model, Text, Lines, Reference, Beams, MaxTokens, LengthPenalty, Cache, Activations };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        (string? text, string? file) = (parsed.GetValue(Text), parsed.GetValue(Lines));
        if (text is null == file is null)
            throw new MisuseException("give one of --text and --lines");
        string[] referenceFiles = parsed.GetValue(Reference) ?? [];
        if (file == StandardInput ? referenceFiles.Contains(StandardInput) : referenceFiles.Count(name => name == StandardInput) > 1)
            throw new MisuseException("standard input can be read once");
        string[][] references = [.. referenceFiles.Select(name => ReadLines(name).ToArray())];
        string path = parsed.GetRequiredValue(ModelArgument.Model);
        LanguageModel language = ModelArgument.Load(path);
        if (language.Model is not TranslationModel model)
            throw new CoppiceException($"{path}: is a {language.Model.Family}, which does not translate; this command takes models of an encoder and a decoder");
        TranslationOptions options = new() { Beams = parsed.GetValue(Beams), MaxTokens = parsed.GetValue(MaxTokens), LengthPenalty = parsed.GetValue(LengthPenalty) };
        Translator translator = new(model, session.Pool, KeyValueArgument.Of(parsed.GetValue(Cache)), ActivationArgument.Of(parsed.GetValue(Activations), ActivationFormat.Int8));

        IEnumerable<(string Source, int[] Ids)> texts = (file is null ? [text!] : ReadLines(file)).Select((source, i) => (source, Encode(source, file is null ? "--text" : $"{file}: line {i + 1}")));
        // A file is looked through before work begins; what comes in by a pipe is translated as it comes.
        if (file != StandardInput)
        {
            texts = [.. texts];
            TranslationReport.Check(referenceFiles, references, texts.Count());
        }
        List<(string Source, string Text, Translation Found)> translations = [];
        long start = Stopwatch.GetTimestamp();
        foreach ((string source, int[] ids) in texts)
        {
            // An empty line stays one.
            Translation found = ids.Length == 0 ? new Translation([], 0) : translator.Translate(ids, options, cancel);
            translations.Add((source, language.Tokenizer.Decode(found.Ids), found));
            if (!session.IsJson)
                Console.Out.Write(translations[^1].Text.ReplaceLineEndings(" ") + "\n");
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        int tokens = translations.Sum(translation => translation.Found.Ids.Length);
        session.Say(string.Create(CultureInfo.InvariantCulture, $"{translations.Count} {(translations.Count == 1 ? "text" : "texts")}, {tokens} tokens in {seconds:0.000} s, {tokens / seconds:0.0} tokens/s"));
        TranslationReport.Check(referenceFiles, references, translations.Count);
        TranslationReport? scores = references.Length == 0 ? null : TranslationReport.Measure([.. translations.Select(translation => translation.Text)], references, session.Seed);
        scores?.Say(session);
        session.Document(json =>
        {
            json.Array("translations", translations, translation =>
            {
                json.WriteString("source", translation.Source);
                json.WriteString("text", translation.Text);
                json.WriteNumber("tokens", translation.Found.Ids.Length);
                json.Number("logProbability", translation.Found.LogProbability);
            });
            json.WriteNumber("seconds", seconds);
            json.Number("tokensPerSecond", tokens / seconds);
            scores?.Write(json);
        });
        return ExitCode.Done;

        int[] Encode(string source, string place)
        {
            int[] ids = language.Tokenizer.Encode(source);
            return ids.Length < model.ContextLength ? ids : throw new CoppiceException($"{place} has {ids.Length + 1:N0} tokens with the one that ends it, the model reads {model.ContextLength:N0}: split it");
        }
    }

    static IEnumerable<string> ReadLines(string file)
    {
        if (file == StandardInput)
        {
            while (Console.In.ReadLine() is { } line)
                yield return line;
            yield break;
        }
        StreamReader reader;
        try
        {
            reader = new StreamReader(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{file}: could not be read: {error.Message}", error);
        }
        using (reader)
            while (reader.ReadLine() is { } line)
                yield return line;
    }
}

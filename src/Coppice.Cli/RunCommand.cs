using System.CommandLine;
using System.Globalization;
using System.Text;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.ChatTemplates;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>coppice run: continues a text.</summary>
static class RunCommand
{
    static readonly Option<string?> Prompt = Options.Text("--prompt", "TEXT", "The text to continue");
    static readonly Option<string?> Chat = Options.Text("--chat", "MESSAGE", "In place of --prompt: a message to answer, written as the model's chat template has it");
    static readonly Option<int> MaxTokens = Options.Integer("--max-tokens", "The most tokens to generate", value: 128, least: 1);
    static readonly Option<double> Temperature = Options.Number("--temperature", "0 takes the likeliest token always; higher is more varied", value: 0);
    static readonly Option<int> TopK = Options.Integer("--top-k", "Draw from this many of the likeliest tokens; 0: from all", value: 0);
    static readonly Option<double> TopP = Options.Share("--top-p", "Draw from the fewest likeliest tokens that reach this probability; 1: from all", value: 1);

    static readonly Option<string?> Cache = KeyValueArgument.Create();
    static readonly Option<string?> Draft = Options.Text("--draft", "MODEL", "A faster model of the same tokenizer that guesses ahead; the text stays the model's own");
    static readonly Option<int> DraftTokens = Options.Integer("--draft-tokens", "Tokens that the draft guesses at a time", value: 4, least: 1);

    static readonly Option<string[]> Cheaper = new("--cheaper") { Description = "A cheaper variant of the model that takes over between two tokens while they take longer than --target-ms; several, best first", HelpName = "MODEL" };
    static readonly Option<double?> TargetMilliseconds = Options.OptionalPositive("--target-ms", "With --cheaper: the most milliseconds that a token should take");
    static readonly Option<string?> Memory = MemoryArgument.Create();

    static readonly Option<string?> Activations = ActivationArgument.Create("What integer matrices round their inputs to; int8 unless told otherwise", "int8-static");

    public static Command Create()
    {
        Command command = new("run", "Continues a text, printing it as it comes")
        {
            ModelArgument.Model, Prompt, Chat, MaxTokens, Temperature, TopK, TopP, Cache, Activations,
            ActivationArgument.Calibrate, ActivationArgument.Tokens, ActivationArgument.Range, ActivationArgument.FloatInputs, TextArgument.Documents, TextArgument.Sdk, Draft, DraftTokens, Cheaper, TargetMilliseconds, Memory,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        SamplingOptions sampling = new()
        {
            Temperature = (float)parsed.GetValue(Temperature),
            TopK = parsed.GetValue(TopK),
            TopP = (float)parsed.GetValue(TopP),
        };
        sampling.Validate();
        LanguageModel language = ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model));
        (string prompt, List<int> ids) = PromptOf(parsed, language);
        if (ids.Count == 0)
            throw new MisuseException("--prompt is empty, and the model has no token that starts a text");

        ActivationFormat activations = ActivationArgument.Of(parsed.GetValue(Activations), ActivationFormat.Int8);
        ActivationArgument.Prepare(session, parsed, parsed.GetRequiredValue(ModelArgument.Model), language, activations, cancel);
        if (activations == ActivationFormat.Int8Static && parsed.GetValue(Draft) is not null)
            throw new MisuseException("--draft and --activations int8-static: a draft is not calibrated; give one of them");
        PrecisionLadder? ladder = LoadLadder(parsed, language, session, activations, cancel);
        MemoryArgument.Apply(parsed.GetValue(Memory), language);
        int maxTokens = parsed.GetValue(MaxTokens);
        Sampler sampler = new(language.Model.VocabularySize, sampling, new Random(session.Seed));
        int capacity = (int)Math.Min(language.Model.ContextLength, (long)ids.Count + maxTokens);
        Generator generator = new(language.Model, sampler, session.Pool, language.Tokenizer.EosId, capacity, KeyValueArgument.Of(parsed.GetValue(Cache)),
            activations, LoadDraft(parsed, language))
        { Ladder = ladder };
        TextStream stream = new(language.Tokenizer, ids[^1]);
        StringBuilder text = new();
        Write(prompt);
        GenerationTiming timing = generator.Generate([.. ids], maxTokens, token => Tell(stream.Add(token)), cancel);
        Tell(stream.End());
        Write("\n");
        string why = generator.Stop switch { StopReason.EndToken => "endToken", StopReason.ContextFull => "contextFull", _ => "maxTokens" };
        session.Say(string.Create(CultureInfo.InvariantCulture,
            $"{timing.Tokens} tokens ({why}) after a prompt of {timing.PromptTokens}; first after {timing.FirstTokenSeconds:0.000} s, then {timing.TokensPerSecond:0.0} tokens/s"));
        foreach (PrecisionSwitch change in ladder?.Switches ?? [])
            session.Say(string.Create(CultureInfo.InvariantCulture, $"after token {change.Token + 1}: {change.From} -> {change.To} (median {1000 * change.MedianSeconds:0.00} ms a token)"));
        MemoryArgument.Tell(session, language);
        (long guessed, long accepted) = generator.Drafted;
        if (guessed > 0)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"the draft guessed {guessed} tokens, {accepted} of them right ({(double)accepted / guessed:P1})"));
        session.Document(json =>
        {
            json.WriteString("prompt", prompt);
            json.WriteString("text", text.ToString());
            json.WriteNumber("tokens", timing.Tokens);
            json.WriteNumber("promptTokens", timing.PromptTokens);
            json.WriteString("stop", why);
            json.Number("firstTokenSeconds", timing.FirstTokenSeconds);
            json.Number("tokensPerSecond", timing.TokensPerSecond);
            if (ladder is not null)
            {
                json.WriteStartArray("switches");
                foreach (PrecisionSwitch change in ladder.Switches)
                {
                    json.WriteStartObject();
                    json.WriteNumber("token", change.Token + 1);
                    json.WriteString("from", change.From);
                    json.WriteString("to", change.To);
                    json.Number("medianSeconds", change.MedianSeconds!.Value);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }
            if (language.Model.OnDemand is { } onDemand)
                MemoryArgument.Write(json, onDemand);
            if (guessed > 0)
            {
                json.WriteNumber("draftGuessed", guessed);
                json.WriteNumber("draftAccepted", accepted);
            }
        });
        return ExitCode.Done;

        void Tell(ReadOnlySpan<char> part)
        {
            text.Append(part);
            Write(part);
        }

        void Write(ReadOnlySpan<char> part)
        {
            if (!session.IsJson)
                Console.Out.Write(part);
        }
    }

    static (string Text, List<int> Ids) PromptOf(ParseResult parsed, LanguageModel language)
    {
        (string? prompt, string? message) = (parsed.GetValue(Prompt), parsed.GetValue(Chat));
        if (prompt is null == message is null)
            throw new MisuseException("give one of --prompt and --chat");
        Tokenizer tokenizer = language.Tokenizer;
        ChatTemplate? template = message is null ? null : tokenizer.ChatTemplate ?? throw new CoppiceException($"{language.Source}: the model has no chat template; use --prompt");
        string text = template?.Render([new ChatMessage("user", message!)]) ?? prompt!;
        List<int> ids = [];
        tokenizer.Encode(text, ids, template is null ? SpecialMarkers.AsText : SpecialMarkers.Parse);
        // most templates write BOS themselves
        if (tokenizer.BosId is { } bos && (template is null || ids.Count == 0 || ids[0] != bos))
            ids.Insert(0, bos);
        return (text, ids);
    }

    static PrecisionLadder? LoadLadder(ParseResult parsed, LanguageModel language, Session session, ActivationFormat activations, CancellationToken cancel)
    {
        string[] cheaper = parsed.GetValue(Cheaper) ?? [];
        if (cheaper.Length > 0 != parsed.GetValue(TargetMilliseconds) is not null)
            throw new MisuseException("--cheaper and --target-ms belong together; give both");
        if (cheaper.Length == 0)
            return null;
        if (((Option[])[Draft, Memory]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } other)
            throw new MisuseException($"{other.Name} is for one model; give it or --cheaper");
        List<(string, Model)> rungs = [(parsed.GetRequiredValue(ModelArgument.Model), language.Model)];
        foreach (string name in cheaper)
        {
            LanguageModel variant = ModelArgument.LoadDecoder(name);
            if (variant.Tokenizer.Hash != language.Tokenizer.Hash)
                throw new CoppiceException($"{name}: its tokenizer is not that of {language.Source}; a variant must read and write the same tokens");
            ActivationArgument.Prepare(session, parsed, rungs[0].Item1, variant, activations, cancel);
            rungs.Add((name, variant.Model));
        }
        return new PrecisionLadder(rungs, parsed.GetValue(TargetMilliseconds)!.Value / 1000);
    }

    static DraftOptions? LoadDraft(ParseResult parsed, LanguageModel language)
    {
        if (parsed.GetValue(Draft) is not { } path)
            return null;
        LanguageModel draft = ModelArgument.LoadDecoder(path);
        return draft.Tokenizer.Hash == language.Tokenizer.Hash
            ? new DraftOptions(draft.Model) { Tokens = parsed.GetValue(DraftTokens) }
            : throw new CoppiceException($"{path}: its tokenizer is not that of {language.Source}; a draft must read and write the same tokens");
    }
}

using System.CommandLine;
using System.Globalization;
using System.Text;
using Coppice.Inference;
using Coppice.Models;

namespace Coppice.Cli;

/// <summary>coppice run: continues a text.</summary>
static class RunCommand
{
    static readonly Option<string> Prompt = new("--prompt") { Description = "The text to continue", HelpName = "TEXT", Required = true };
    static readonly Option<int> MaxTokens = Options.Integer("--max-tokens", "The most tokens to generate", value: 128, least: 1);
    static readonly Option<double> Temperature = Options.Number("--temperature", "0 takes the likeliest token always; higher is more varied", value: 0);
    static readonly Option<int> TopK = Options.Integer("--top-k", "Draw from this many of the likeliest tokens; 0: from all", value: 0);
    static readonly Option<double> TopP = Options.Number("--top-p", "Draw from the fewest likeliest tokens that reach this probability; 1: from all", value: 1);

    public static Command Create()
    {
        Command command = new("run", "Continues a text, printing it as it comes") { ModelArgument.Model, Prompt, MaxTokens, Temperature, TopK, TopP };
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
        LanguageModel language = ModelArgument.Load(parsed.GetRequiredValue(ModelArgument.Model));
        string prompt = parsed.GetRequiredValue(Prompt);
        List<int> ids = [];
        if (language.Tokenizer.BosId is { } bos)
            ids.Add(bos);
        language.Tokenizer.Encode(prompt, ids);
        if (ids.Count == 0)
            throw new MisuseException("--prompt is empty, and the model has no token that starts a text");

        int maxTokens = parsed.GetValue(MaxTokens);
        Sampler sampler = new(language.Model.VocabularySize, sampling, new Random(session.Seed));
        Generator generator = new(language.Model, sampler, session.Pool, language.Tokenizer.EosId, (int)Math.Min(language.Model.ContextLength, (long)ids.Count + maxTokens));
        TextStream stream = new(language.Tokenizer, ids[^1]);
        StringBuilder text = new();
        Write(prompt);
        GenerationTiming timing = generator.Generate([.. ids], maxTokens, token => Tell(stream.Add(token)), cancel);
        Tell(stream.End());
        Write("\n");
        string why = generator.Stop switch { StopReason.EndToken => "endToken", StopReason.ContextFull => "contextFull", _ => "maxTokens" };
        session.Say(string.Create(CultureInfo.InvariantCulture,
            $"{timing.Tokens} tokens ({why}) after a prompt of {timing.PromptTokens}; first after {timing.FirstTokenSeconds:0.000} s, then {timing.TokensPerSecond:0.0} tokens/s"));
        session.Document(json =>
        {
            json.WriteString("prompt", prompt);
            json.WriteString("text", text.ToString());
            json.WriteNumber("tokens", timing.Tokens);
            json.WriteNumber("promptTokens", timing.PromptTokens);
            json.WriteString("stop", why);
            json.Number("firstTokenSeconds", timing.FirstTokenSeconds);
            json.Number("tokensPerSecond", timing.TokensPerSecond);
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
}

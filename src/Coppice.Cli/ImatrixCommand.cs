using System.CommandLine;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>coppice imatrix: gathers an importance matrix for llama-quantize and others.</summary>
static class ImatrixCommand
{
    const int DefaultTokens = 16_384;

    static readonly Option<string> Calibrate = new("--calibrate") { Description = $"Text that activations are gathered on: {TextArgument.Specs}", HelpName = "TEXT", Required = true };
    static readonly Option<int> Tokens = Options.Integer("--calibration-tokens", "Tokens of it, drawn with --seed", value: DefaultTokens, least: 1);
    static readonly Option<string> Output = new("--output", "-o") { Description = "The importance matrix to write, NAME.gguf", HelpName = "FILE", Required = true };

    public static Command Create()
    {
        Command command = new("imatrix", "Gathers an importance matrix: how strongly each input of each matrix is driven by a text") { ModelArgument.Model, Calibrate, Tokens, Output, TextArgument.Documents, TextArgument.Sdk };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string output = parsed.GetRequiredValue(Output), text = parsed.GetRequiredValue(Calibrate), name = parsed.GetRequiredValue(ModelArgument.Model);
        if (!Path.GetExtension(output).Equals(".gguf", StringComparison.OrdinalIgnoreCase))
            throw new MisuseException($"--output is '{output}', wanted NAME.gguf");
        if (Path.GetFullPath(output) == Path.GetFullPath(ModelArgument.PathOf(name)))
            throw new MisuseException($"{output}: is the model itself; name another output");
        LanguageModel language = ModelArgument.Load(name);
        if (language.Model is not DecoderModel model)
            throw new CoppiceException($"{name}: is a {language.Model.Family} model, which has no importance matrix; wanted a decoder");
        IReadOnlyList<int[]> sequences = CalibrationText.Draw(TextArgument.Open(text, parsed, cancel), language.Tokenizer, language.Model.ContextLength, parsed.GetValue(Tokens), session.Seed);
        ImportanceMatrix importance = session.Track("gathering", ticks => ImportanceCollection.Gather(model, sequences, text, session.Pool,
            new Told<CompressionProgress>(progress => ticks.Report(new Tick((double)progress.Done / progress.Total, progress.Layer))), cancel));
        importance.Write(output);
        ImportanceTable.Print(session, output, importance);
        return ExitCode.Done;
    }
}

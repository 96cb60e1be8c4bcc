using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Coppice.Export;
using Coppice.Formats;

namespace Coppice.Cli;

/// <summary>coppice convert: writes a model in another format, and says what that did to its numbers.</summary>
static class ConvertCommand
{
    static readonly (string Name, ModelFormat Format)[] formats =
    [
        ("gguf", ModelFormat.Gguf), ("safetensors", ModelFormat.Safetensors), ("compressed-tensors", ModelFormat.CompressedTensors),
        ("gptq", ModelFormat.Gptq), ("awq", ModelFormat.Awq), ("llama2c", ModelFormat.Llama2C), ("onnx", ModelFormat.Onnx),
    ];

    static readonly Option<string> Output = new("--output", "-o") { Description = "What to write: a file for gguf and llama2c, otherwise a folder", HelpName = "OUT", Required = true };
    static readonly Option<string?> Format = Options.Choice("--format", "The format; by default gguf for NAME.gguf, llama2c for NAME.bin, otherwise compressed-tensors", [.. formats.Select(format => format.Name)]);
    static readonly Option<string?> Type = Options.Text("--type", "TYPE", "How to store numbers: f32, f16, bf16, a type of GGUF, or for onnx f32-qdq, f16-qdq; by default as they are");
    static readonly Option<bool> AllowRequantize = new("--allow-requantize") { Description = "Round again what the format cannot hold exactly, instead of failing" };
    static readonly Option<string?> ShardSize = Options.Text("--shard-size", "SIZE", "The largest file of a folder, such as 2GB; 5GB by default");

    public static Command Create()
    {
        Command command = new("convert", "Writes a model in another format; interrupted, the same command goes on after the last finished tensor")
        {
            ModelArgument.Model, Output, Format, Type, AllowRequantize, ShardSize,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string model = ModelArgument.PathOf(parsed.GetRequiredValue(ModelArgument.Model)), output = Path.TrimEndingDirectorySeparator(parsed.GetRequiredValue(Output));
        if (output.Length == 0)
            throw new MisuseException("--output is empty");
        if (Path.GetFullPath(output) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(model)))
            throw new MisuseException($"{output}: is the model itself; name another output");
        if (Path.GetExtension(output).ToLowerInvariant() is ".onnx" or ".safetensors" && parsed.GetValue(Format) is null && !Directory.Exists(output))
            throw new MisuseException($"{output}: is no format by its name; ONNX and safetensors are written as a folder, such as -o NAME --format onnx");
        ConversionOptions options = new()
        {
            Format = FormatOf(parsed.GetValue(Format), output),
            Type = parsed.GetValue(Type),
            Requantizing = parsed.GetValue(AllowRequantize) ? Requantizing.Allowed : Requantizing.Refused,
            ShardBytes = parsed.GetValue(ShardSize) is not { } size ? WritingOptions.DefaultShardBytes
                : ByteSize.TryParse(size, out long bytes) ? bytes : throw new MisuseException($"--shard-size is '{size}', wanted a size such as 2GB"),
        };
        long start = Stopwatch.GetTimestamp();
        try
        {
            ConversionReport report = session.Track("converting", ticks => new Conversion(options, session.Pool).Run(model, output, new Rate(ticks), cancel));
            ConvertResult result = new(report, formats.First(format => format.Format == options.Format).Name, output, Stopwatch.GetElapsedTime(start).TotalSeconds);
            result.Print(session);
            session.Document(result.Write);
            return ExitCode.Done;
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException("interrupted; the same command goes on after the last finished tensor", error);
        }
    }

    static ModelFormat FormatOf(string? name, string output) => name is not null ? formats.First(format => format.Name == name).Format
        : Path.GetExtension(output).ToLowerInvariant() switch { ".gguf" => ModelFormat.Gguf, ".bin" => ModelFormat.Llama2C, _ => ModelFormat.CompressedTensors };

    /// <summary>Bytes written as a share, and the bytes a second of this run.</summary>
    sealed class Rate(IProgress<Tick> ticks) : IProgress<WriteProgress>
    {
        readonly long start = Stopwatch.GetTimestamp();

        public void Report(WriteProgress progress)
        {
            double rate = progress.Done / Stopwatch.GetElapsedTime(start).TotalSeconds;
            ticks.Report(new Tick((double)progress.Done / Math.Max(1, progress.Total), string.Create(CultureInfo.InvariantCulture, $"{ByteSize.Show(progress.Done)} of {ByteSize.Show(progress.Total)}, {rate / 1e6:0} MB/s")));
        }
    }
}

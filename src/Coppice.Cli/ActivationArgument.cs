using System.CommandLine;
using Coppice.Compression;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>--activations and what belongs to it: what products with integer matrices read their inputs as.</summary>
static class ActivationArgument
{
    const int DefaultTokens = 8_192;

    public static readonly Option<string?> Calibrate = Options.Text("--calibrate", "TEXT", $"With --activations int8-static: the text that ranges are found on: {TextArgument.Specs}; sdk:train for grove");
    public static readonly Option<int> Tokens = Options.Integer("--calibration-tokens", "Tokens of it, drawn with --seed", value: DefaultTokens, least: 1);
    public static readonly Option<string?> Range = Options.Choice("--range", "Where a static range ends; absMax unless told otherwise", "absMax", "percentile", "squaredError");
    public static readonly Option<string[]> FloatInputs = new("--float-inputs") { Description = "Matrices whose inputs stay floats: a glob over names, re: or kind:; may be given several times", HelpName = "TARGET" };

    public static Option<string?> Create(string description, params string[] more) => Options.Choice("--activations", description, ["f32", "int8", .. more]);

    public static ActivationFormat Of(string? word, ActivationFormat otherwise) => word switch
    {
        null => otherwise,
        "int8" => ActivationFormat.Int8,
        "int8-static" => ActivationFormat.Int8Static,
        _ => ActivationFormat.Float32,
    };

    /// <summary>Calibrates a model where its ranges are static, and marks the matrices whose inputs stay floats.</summary>
    public static void Prepare(Session session, ParseResult parsed, string name, LanguageModel language, ActivationFormat format, CancellationToken cancel)
    {
        if (format != ActivationFormat.Int8Static && ((Option[])[Calibrate, Tokens, Range]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } idle)
            throw new MisuseException($"{idle.Name} is for --activations int8-static");
        if (parsed.GetValue(FloatInputs) is { Length: > 0 } targets)
            foreach ((_, Linear layer) in MatrixTargets.Of(language.Model, [.. targets], "--float-inputs"))
                layer.KeepsFloatInputs = true;
        if (format != ActivationFormat.Int8Static)
            return;
        string text = parsed.GetValue(Calibrate) ?? (ModelArgument.IsGrove(name) ? "sdk:train" : throw new MisuseException($"--calibrate is missing, the text that int8-static finds its ranges on: {TextArgument.Specs}"));
        IReadOnlyList<int[]> sequences = CalibrationText.Draw(TextArgument.Open(text, parsed, cancel), language.Tokenizer, language.Model.ContextLength, parsed.GetValue(Tokens), session.Seed);
        RangeRule rule = parsed.GetValue(Range) switch { "percentile" => RangeRule.Percentile, "squaredError" => RangeRule.SquaredError, _ => RangeRule.AbsMax };
        session.Track("finding ranges", ticks =>
        {
            ActivationRanges.Gather(language.Model, sequences, session.Pool, cancel).ApplyTo(language.Model, rule);
            ticks.Report(new Tick(1));
            return rule;
        });
    }
}

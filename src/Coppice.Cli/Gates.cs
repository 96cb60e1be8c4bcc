using System.CommandLine;
using System.Globalization;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Text;

namespace Coppice.Cli;

/// <summary>Limits that the user sets on a compressed model. They judge the output as written; where one is missed, nothing is left at OUT.</summary>
sealed class Gates
{
    public static readonly Option<double?> MaxKl = Options.OptionalNumber("--max-kl", "Write nothing, and exit 3, if the mean KL divergence from the base is larger (nats a token)");
    public static readonly Option<string?> MaxSize = Options.Text("--max-size", "SIZE", "Write nothing, and exit 3, if the output is larger on disk, such as 12MB");
    public static readonly Option<string?> Measure = Options.Text("--measure", "TEXT", "Text to measure the KL divergence on; sdk:valid where the calibration text is sdk");
    public static readonly Option<int> MeasureTokens = Options.Integer("--measure-tokens", "The first N tokens of it", value: 16_384, least: 2);

    readonly double? maxKl;
    readonly long? maxSize;
    readonly string? spec;
    readonly string[] calibration;

    public Gates(ParseResult parsed, string[] calibration)
    {
        this.calibration = calibration;
        maxKl = parsed.GetValue(MaxKl);
        if (parsed.GetValue(MaxSize) is { } size)
            maxSize = ByteSize.TryParse(size, out long bytes) ? bytes : throw new MisuseException($"--max-size is '{size}', wanted a size such as 12MB");
        spec = parsed.GetValue(Measure);
        if (maxKl is null || spec is not null)
            return;
        spec = calibration is ["sdk" or "sdk:train"] ? "sdk:valid" : throw new MisuseException($"--max-kl needs text to measure on; --measure is missing: {TextArgument.Specs}");
    }

    /// <summary>Throws before any work if there is no text to measure on.</summary>
    public void CheckText(LanguageModel original, ParseResult parsed, CancellationToken cancel)
    {
        if (spec is not null)
            _ = Text(original, parsed, cancel);
    }

    EvaluationText Text(LanguageModel original, ParseResult parsed, CancellationToken cancel)
    {
        Corpus corpus = Corpus(original, parsed, cancel);
        return EvaluationText.Create(corpus, original.Tokenizer, Protocol.For(corpus, original.Tokenizer, Math.Min(original.Model.ContextLength, 512)), cancel);
    }

    Corpus Corpus(LanguageModel original, ParseResult parsed, CancellationToken cancel) => TextArgument.First(TextArgument.Open(spec!, parsed, cancel), original.Tokenizer, parsed.GetValue(MeasureTokens));

    /// <summary>The written output against its base, token by token; null where nobody asked.</summary>
    public Comparison? Measured(Session session, string written, string baseName, ParseResult parsed, CancellationToken cancel)
    {
        if (spec is null)
            return null;
        LanguageModel compressed = LanguageModel.Load(written), original = ModelArgument.Load(baseName);
        Corpus corpus = Corpus(original, parsed, cancel);
        // The SDK's parts share no document by construction, and lines of documentation repeat.
        foreach (string seen in calibration.Where(seen => !(seen is "sdk" or "sdk:train" && spec is "sdk:valid" or "sdk:test")))
            if (TextOverlap.Share(TextArgument.Open(seen, parsed, cancel), corpus) is > 0 and double share)
                session.Say(string.Create(CultureInfo.InvariantCulture, $"warning: {share:P1} of the lines of {spec} are in {seen} too, which the model was calibrated on: what is measured on them flatters it"));
        EvaluationText text = Text(original, parsed, cancel);
        return session.Track("measuring", ticks =>
            Comparison.Measure(original.Model, compressed.Model, text, session.Pool, null, new Told<double>(share => ticks.Report(new Tick(share))), cancel));
    }

    /// <summary>Throws at the first limit that does not hold; the work behind it goes too.</summary>
    public void Check(CompressResult result, Journal? journal)
    {
        string? missed = null;
        if (maxSize is { } size && result.Output.Bytes > size)
            missed = $"size {result.Output.Bytes:N0} bytes, --max-size {size:N0}";
        else if (maxKl is { } limit && !(result.Comparison!.Kl.Value <= limit))
            missed = string.Create(CultureInfo.InvariantCulture, $"KL divergence {BudgetOption.WithError(result.Comparison.Kl.Value, result.Comparison.Kl.StandardError)} nats a token, --max-kl {limit}");
        if (missed is null)
            return;
        result.Output.Discard();
        journal?.Delete();
        throw new GateMissedException($"gate missed: {missed}; {result.Output.Path} was not written");
    }
}

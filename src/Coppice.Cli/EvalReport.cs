using System.Globalization;
using System.Text.Json;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>What a model takes: its speed is null where it was not timed.</summary>
sealed record ModelCost(LanguageModel Language, Speed? Speed)
{
    public long FileBytes { get; } = MemoryProbe.DiskBytes(Language.Source);

    public ModelMemory Memory { get; } = MemoryProbe.Measure(Language.Model);
}

/// <summary>The findings of coppice eval, for people and for scripts. The first of <paramref name="Costs"/> is the model's, the second its base's.</summary>
sealed record EvalReport(EvaluationText Text, PerplexityScores Scores, Comparison? Comparison, IReadOnlyList<ModelCost> Costs)
{
    static readonly CultureInfo Culture = CultureInfo.InvariantCulture;

    public void Print(Session session)
    {
        string[] heads = Comparison is null ? ["", "model"] : ["", "model", "base"];
        session.Table(heads,
        [
            .. Scores.Scores.Select((score, i) => (string[])[Unit(score.Metric), Show(score), .. Comparison is null ? (string[])[] : [Show(Comparison.Base.Scores[i])]]),
            Line("bits a weight", cost => cost.Language.Model.BitsPerWeight.ToString("0.000", Culture)),
            Line("stored weights", cost => ByteSize.Show(cost.Memory.ModelBytes)),
            Line("on disk", cost => ByteSize.Show(cost.FileBytes)),
            Line("cache a token of context", cost => ByteSize.Show(cost.Memory.CacheBytesPerToken)),
            .. Costs[0].Speed is null ? (string[][])[] :
            [
                Line($"first token after {Costs[0].Speed!.PromptTokens}", cost => Milliseconds(cost.Speed!.FirstTokenSeconds.Median)),
                Line("a token, median", cost => Milliseconds(cost.Speed!.TokenSeconds.Median)),
                Line("a token, 95% within", cost => Milliseconds(cost.Speed!.TokenSeconds.Percentile(95))),
                Line("tokens a second", cost => cost.Speed!.TokensPerSecond.ToString("0.0", Culture)),
            ],
        ]);
        if (Comparison is not null)
        {
            session.Table(["against the base, token by token", "value"], Comparison.Scores.Select(score => (string[])[Unit(score.Metric), Show(score)]));
            session.Line(double.IsFinite(Comparison.DeltaNllInterval.Low)
                ? string.Create(Culture, $"nats a token that compression adds, 95%: {Comparison.DeltaNllInterval.Low:0.00000} to {Comparison.DeltaNllInterval.High:0.00000}")
                : "one window of text: no error can be told");
        }
        session.Line(string.Create(Culture, $"{Text.ScoredTokens:N0} tokens of {Text.ScoredBytes:N0} bytes; {Text.Signature}"));
        if (Costs[0].Speed is not null)
            session.Line("timed with int8 activations for integer matrices" + (SpeedRatio is { } ratio ? $"; {Compared(ratio)}" : ""));
        session.Line($"peak memory {ByteSize.Show(MemoryProbe.PeakBytes())}; {SystemInfo.Current()}");
    }

    public void Write(Utf8JsonWriter json)
    {
        json.Scores("scores", Scores.Scores);
        if (Comparison is null)
            json.WriteNull("comparison");
        else
        {
            json.WriteStartObject("comparison");
            json.Scores("base", Comparison.Base.Scores);
            json.Scores("scores", Comparison.Scores);
            json.WriteStartArray("deltaNllInterval");
            foreach (double end in (double[])[Comparison.DeltaNllInterval.Low, Comparison.DeltaNllInterval.High])
                if (double.IsFinite(end))
                    json.WriteNumberValue(end);
                else
                    json.WriteNullValue();
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteNumber("scoredTokens", Text.ScoredTokens);
        json.WriteNumber("scoredBytes", Text.ScoredBytes);
        json.WriteNumber("bytes", Costs[0].FileBytes);
        json.WriteNumber("bitsPerWeight", Costs[0].Language.Model.BitsPerWeight);
        WriteSpeed(json, "speed", Costs[0].Speed);
        if (Costs.Count > 1)
        {
            json.WriteNumber("baseBytes", Costs[1].FileBytes);
            WriteSpeed(json, "baseSpeed", Costs[1].Speed);
            json.Number("speedRatio", SpeedRatio);
        }
        json.WriteStartObject("memory");
        json.WriteNumber("modelBytes", Costs[0].Memory.ModelBytes);
        json.WriteNumber("cacheBytesPerToken", Costs[0].Memory.CacheBytesPerToken);
        json.WriteNumber("peakBytes", MemoryProbe.PeakBytes());
        json.WriteEndObject();
        json.WriteNull("energy");
        json.WriteString("machine", SystemInfo.Current().ToString());
    }

    // Tokens a second over the base's.
    double? SpeedRatio => Costs is [{ Speed: { } own }, { Speed: { } its }] ? own.TokensPerSecond / its.TokensPerSecond : null;

    // What saves bytes need not save time.
    string Compared(double ratio)
    {
        if (ratio >= 1)
            return string.Create(Culture, $"it generates {ratio:0.00} times as fast as the base");
        string[] sparse = [.. Costs[0].Language.Model.Matrices().Select(matrix => matrix.Layer.Weight).Where(weight => weight is SparseWeight or TwoFourWeight or TwoFourIntWeight).Select(weight => weight.Kind).Distinct()];
        return string.Create(Culture, $"it generates more slowly than the base, {ratio:0.00} of its tokens a second{(sparse.Length > 0 ? $": {string.Join(", ", sparse)} saves bytes here, not time" : "")}");
    }

    static void WriteSpeed(Utf8JsonWriter json, string name, Speed? speed)
    {
        if (speed is null)
        {
            json.WriteNull(name);
            return;
        }
        json.WriteStartObject(name);
        json.WriteString("activations", "int8");
        json.WriteNumber("promptTokens", speed.PromptTokens);
        json.WriteNumber("firstTokenSeconds", speed.FirstTokenSeconds.Median);
        json.WriteNumber("tokenSeconds", speed.TokenSeconds.Median);
        json.WriteNumber("tokenSecondsP95", speed.TokenSeconds.Percentile(95));
        json.WriteNumber("tokensPerSecond", speed.TokensPerSecond);
        json.WriteEndObject();
    }

    string[] Line(string head, Func<ModelCost, string> show) => [head, .. Costs.Select(show)];

    static string Show(Score score) => double.IsNaN(score.StandardError)
        ? string.Create(Culture, $"{score.Value:0.0000}")
        : string.Create(Culture, $"{score.Value:0.0000} ± {score.StandardError:0.0000}");

    static string Milliseconds(double seconds) => string.Create(Culture, $"{1000 * seconds:0.00} ms");

    static string Unit(string metric) => metric switch
    {
        "nll" => "nll (nats a token)",
        "kl" => "kl (nats a token)",
        "deltaNll" => "deltaNll (nats a token)",
        _ => metric,
    };
}

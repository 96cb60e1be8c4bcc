using System.Globalization;
using System.Text.Json;
using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Evaluation;

namespace Coppice.Cli;

/// <summary>What coppice compress did, for people and for scripts.</summary>
sealed record CompressResult(Recipe Recipe, CompressionReport Report, CompressedOutput Output, Comparison? Comparison)
{
    /// <summary>The search that found the recipe, or null.</summary>
    public BudgetResult? Budget { get; init; }

    static readonly CultureInfo Culture = CultureInfo.InvariantCulture;

    // "model.layers.3.mlp.up_proj" -> "up_proj"
    IEnumerable<IGrouping<string, LayerResult>> Kinds => Report.Layers.GroupBy(layer => layer.Name[(layer.Name.LastIndexOf('.') + 1)..]);

    public void Print(Session session)
    {
        session.Table(["matrices", "count", "stored as", "bytes", "bits/weight", "zeros", "weight error", "output error"], Kinds.Select(kind => (string[])
        [
            kind.Key,
            kind.Count().ToString(Culture),
            string.Join(", ", kind.Select(layer => layer.Kind).Distinct()),
            kind.Sum(layer => layer.Bytes).ToString("N0", Culture),
            (8.0 * kind.Sum(layer => layer.Bytes) / kind.Sum(Weights)).ToString("0.00", Culture),
            (kind.Sum(layer => layer.Sparsity * Weights(layer)) / kind.Sum(Weights)).ToString("P1", Culture),
            kind.Average(layer => layer.WeightError).ToString("0.00000", Culture),
            kind.All(layer => layer.OutputError is null) ? "-" : kind.Average(layer => layer.OutputError)!.Value.ToString("0.00000", Culture),
        ]));
        foreach (string note in Report.Notes)
            session.Line(note);
        foreach (string warning in Report.Warnings)
            session.Say($"warning: {warning}");
        session.Line(string.Create(Culture, $"weights {ByteSize.Show(Report.BytesBefore)} -> {ByteSize.Show(Report.BytesAfter)}, {Report.BitsPerWeight:0.000} bits a weight, {Report.Sparsity:P1} zeros, {Report.CalibrationTokens:N0} calibration tokens, {Report.Seconds:0.0} s")
            + (Report.ScoreBytes > 0 ? $", {ByteSize.Show(Report.ScoreBytes)} of scores in memory" : "")
            + (Report.ResumedBlocks > 0 ? $", {Report.ResumedBlocks} blocks were done before" : ""));
        if (Comparison is not null)
            session.Line(string.Create(Culture, $"KL divergence {BudgetOption.WithError(Comparison.Kl.Value, Comparison.Kl.StandardError)} nats a token, top-1 agreement {Comparison.Top1Agreement.Value:P2} ({Comparison.Kl.Signature})"));
        session.Line($"wrote {Output.Path}, {ByteSize.Show(Output.Bytes)} on disk");
    }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteString("recipe", Recipe.ToYaml());
        json.Array("steps", Recipe.Steps, step =>
        {
            json.WriteString("step", step.Key);
            json.WriteNumber("matrices", Report.Layers.Count(layer => layer.Steps.Contains(step.Key)));
        });
        json.Array("layers", Report.Layers, layer =>
        {
            json.WriteString("name", layer.Name);
            json.WriteStartArray("steps");
            foreach (string step in layer.Steps)
                json.WriteStringValue(step);
            json.WriteEndArray();
            json.WriteString("kind", layer.Kind);
            json.WriteNumber("bytes", layer.Bytes);
            json.WriteNumber("bitsPerWeight", layer.BitsPerWeight);
            json.WriteNumber("sparsity", layer.Sparsity);
            json.Number("weightError", layer.WeightError);
            json.Number("outputError", layer.OutputError);
            json.Number("calibrationTokens", layer.Tokens);
            if (!layer.Warnings.IsEmpty)
                json.WriteString("warning", string.Join("; ", layer.Warnings));
        });
        json.WriteNumber("bytes", Output.Bytes);
        json.WriteNumber("bitsPerWeight", Report.BitsPerWeight);
        json.WriteNumber("sparsity", Report.Sparsity);
        json.WriteNumber("calibrationTokens", Report.CalibrationTokens);
        json.WriteStartArray("notes");
        foreach (string note in Report.Notes)
            json.WriteStringValue(note);
        json.WriteEndArray();
        if (Budget is not null)
        {
            json.WriteStartObject("budget");
            Budget.Write(json);
            json.WriteEndObject();
        }
        json.WriteNumber("scoreBytes", Report.ScoreBytes);
        json.WriteNumber("resumedBlocks", Report.ResumedBlocks);
        if (Comparison is not null)
            json.Scores("scores", Comparison.Scores);
        json.WriteNumber("seconds", Report.Seconds);
        json.WriteNumber("peakBytes", MemoryProbe.PeakBytes());
        json.WriteString("artifact", Output.Path);
    }

    static double Weights(LayerResult layer) => (double)layer.Rows * layer.Columns;
}

using System.Globalization;
using System.Text.Json;
using Coppice.Evaluation;
using Coppice.Export;

namespace Coppice.Cli;

/// <summary>What coppice convert did, for people and for scripts.</summary>
sealed record ConvertResult(ConversionReport Report, string Format, string Output, double Seconds)
{
    static readonly CultureInfo Culture = CultureInfo.InvariantCulture;

    // Tensors of one name in every block that fared alike: "model.layers.3.mlp.up_proj.weight" -> "mlp.up_proj".
    IReadOnlyList<Kind> Kinds => [.. Report.Tensors.GroupBy(tensor => (Name: KindOf(tensor.Name), tensor.From, tensor.To, tensor.Reason)).Select(alike => new Kind(alike.Key.Name, alike.Key.From, alike.Key.To, alike.Key.Reason, [.. alike]))];

    public void Print(Session session)
    {
        session.Table(["tensors", "count", "were", "are", "bytes", "bits/number", "exact", "largest error"], Kinds.Select(kind => (string[])
        [
            kind.Name,
            kind.Tensors.Count.ToString(Culture),
            kind.From,
            kind.To,
            kind.Bytes.ToString("N0", Culture),
            kind.BitsPerNumber.ToString("0.00", Culture),
            kind.Exact == kind.Tensors.Count ? "all" : $"{kind.Exact} of {kind.Tensors.Count}",
            kind.MaxError == 0 ? "0" : kind.MaxError.ToString("0.0e+00", Culture),
        ]));
        foreach (Kind kind in Kinds.Where(kind => kind.Reason is not null))
            session.Line($"rounded again: {kind.Name}: {kind.Reason}");
        if (Report.LeftOut.Length > 0)
            session.Line($"left out: {string.Join(", ", Report.LeftOut)}");
        session.Line((Report.IsLossless ? "every number is what it was" : string.Create(Culture, $"{Report.Tensors.Count(tensor => tensor.Changed > 0)} of {Report.Tensors.Length} tensors changed, by at most {Report.MaxError:0.0e+00}"))
            + string.Create(Culture, $"; {Report.BitsPerWeight:0.000} bits a number, {Seconds:0.0} s") + (Report.Resumed > 0 ? $", {Report.Resumed} tensors were written before" : ""));
        session.Line($"wrote {Output}, {ByteSize.Show(Report.Bytes)} on disk");
    }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteString("format", Format);
        json.WriteBoolean("lossless", Report.IsLossless);
        json.Number("maxError", Report.MaxError);
        json.WriteNumber("bitsPerWeight", Report.BitsPerWeight);
        json.Array("kinds", Kinds, kind =>
        {
            json.WriteString("tensors", kind.Name);
            json.WriteNumber("count", kind.Tensors.Count);
            json.WriteString("from", kind.From);
            json.WriteString("to", kind.To);
            json.WriteNumber("exact", kind.Exact);
            json.Number("maxError", kind.MaxError);
            json.WriteNumber("bytes", kind.Bytes);
            json.WriteNumber("bitsPerWeight", kind.BitsPerNumber);
            json.WriteString("reason", kind.Reason);
        });
        Texts(json, "files", Report.Files);
        Texts(json, "leftOut", Report.LeftOut);
        json.WriteNumber("resumedTensors", Report.Resumed);
        json.WriteNumber("bytes", Report.Bytes);
        json.WriteNumber("seconds", Seconds);
        json.WriteNumber("peakBytes", MemoryProbe.PeakBytes());
        json.WriteString("artifact", Output);
    }

    static void Texts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }

    // What follows the block's number, or the whole name, without its last part where that is "weight".
    static string KindOf(string tensor)
    {
        string[] parts = tensor.Split('.');
        int number = Array.FindLastIndex(parts, part => int.TryParse(part, Culture, out _));
        IEnumerable<string> kept = parts.Skip(number + 1);
        return string.Join('.', parts[^1] == "weight" ? kept.SkipLast(1) : kept);
    }

    sealed record Kind(string Name, string From, string To, string? Reason, IReadOnlyList<ConvertedTensor> Tensors)
    {
        public long Bytes => Tensors.Sum(tensor => tensor.Bytes);

        public double BitsPerNumber => 8.0 * Bytes / Tensors.Sum(tensor => tensor.Count);

        public int Exact => Tensors.Count(tensor => tensor.Changed == 0);

        public double MaxError => Tensors.Max(tensor => tensor.MaxError);
    }
}

using System.Globalization;
using Coppice.Formats;

namespace Coppice.Cli;

/// <summary>An importance matrix for people and for scripts.</summary>
static class ImportanceTable
{
    public static void Print(Session session, string path, ImportanceMatrix importance)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        IReadOnlyList<Row> rows = [.. importance.Entries.Select(pair => Row.Of(pair.Key, pair.Value))];
        session.Table(["tensor", "inputs", "experts", "counted", "mean square", "largest", "half of it in"], rows.Select(row => (string[])
        [
            row.Name, row.Inputs.ToString("N0", culture), row.Experts.ToString(culture), row.Counted.ToString("N0", culture),
            row.Mean.ToString("G4", culture), row.Largest.ToString("G4", culture), row.HalfIn.ToString("P1", culture),
        ]));
        session.Facts(
        [
            ("importance matrix", path),
            ("texts", importance.Datasets.IsEmpty ? "not told" : string.Join(", ", importance.Datasets)),
            ("chunks", importance.ChunkSize > 0 ? $"{importance.ChunkCount:N0} of {importance.ChunkSize:N0} tokens at most" : $"{importance.ChunkCount:N0}"),
            ("tensors", importance.Entries.Count.ToString("N0", culture)),
        ]);
        session.Document(json =>
        {
            json.WriteString("artifact", path);
            json.WriteStartArray("texts");
            foreach (string text in importance.Datasets)
                json.WriteStringValue(text);
            json.WriteEndArray();
            json.WriteNumber("chunks", importance.ChunkCount);
            json.WriteNumber("chunkSize", importance.ChunkSize);
            json.Array("tensors", rows, row =>
            {
                json.WriteString("name", row.Name);
                json.WriteNumber("inputs", row.Inputs);
                json.WriteNumber("experts", row.Experts);
                json.WriteNumber("counted", row.Counted);
                json.Number("meanSquare", row.Mean);
                json.Number("largest", row.Largest);
                json.Number("halfIn", row.HalfIn);
            });
        });
    }

    /// <summary>A matrix's inputs: how large their squares are, and in which share of the channels half of their sum lies.</summary>
    sealed record Row(string Name, int Inputs, int Experts, long Counted, double Mean, double Largest, double HalfIn)
    {
        public static Row Of(string name, InputImportance entry)
        {
            float[] squares = [.. Enumerable.Range(0, entry.Counts.Length).SelectMany(entry.MeanSquares).OrderDescending()];
            double sum = squares.Sum(square => (double)square), part = 0;
            int channels = 0;
            while (channels < squares.Length && part < sum / 2)
                part += squares[channels++];
            return new Row(name, entry.Columns, entry.Counts.Length, entry.Counts.Max(), sum / squares.Length, squares[0], (double)channels / squares.Length);
        }
    }
}

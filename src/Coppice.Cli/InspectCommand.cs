using System.CommandLine;
using System.Globalization;
using Coppice.Evaluation;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Cli;

/// <summary>coppice inspect: what a model is made of.</summary>
static class InspectCommand
{
    static readonly Option<bool> Zeros = new("--zeros") { Description = "Count each weight's zeros: every number is read" };

    public static Command Create()
    {
        Command command = new("inspect", "Shows a model's family, sizes and tokenizer, and how each of its weights is stored; or an importance matrix") { ModelArgument.Model, Zeros };
        command.SetAction((parsed, _) => Task.FromResult(Run(parsed)));
        return command;
    }

    static int Run(ParseResult parsed)
    {
        using Session session = new(parsed);
        string path = parsed.GetRequiredValue(ModelArgument.Model);
        if (ImportanceMatrix.Is(path))
        {
            ImportanceTable.Print(session, path, ImportanceMatrix.Read(path));
            return ExitCode.Done;
        }
        // Each matrix is looked at once: none stays in memory.
        using OpenModel open = OpenModel.Open(ModelArgument.PathOf(path));
        LanguageModel language = open.Language;
        Model model = language.Model;
        Tokenizer tokenizer = language.Tokenizer;
        bool zeros = parsed.GetValue(Zeros);
        IReadOnlyList<Row> rows = [.. model.Matrices().Select(part => Row.Of(part.Name, part.Layer, zeros)), .. model.AllVectors().Select(part => Row.Of(part.Name, part.Vector, zeros))];
        long fileBytes = MemoryProbe.DiskBytes(language.Source);
        CultureInfo culture = CultureInfo.InvariantCulture;

        session.Table(["weight", "shape", "kind", "bytes", "bits/weight", .. zeros ? ["zeros"] : Array.Empty<string>()], rows.Select(row => (string[])
        [
            row.Name, $"[{string.Join(", ", row.Shape)}]", row.Kind, row.Bytes.ToString("N0", culture), row.BitsPerWeight.ToString("0.00", culture),
            .. row.Sparsity is { } share ? [share.ToString("P1", culture)] : Array.Empty<string>(),
        ]));
        session.Facts(
        [
            ("model", language.Source),
            ("family", model.Family),
            .. model.Facts,
            ("parameters", model.ParameterCount.ToString("N0", culture)),
            ("stored weights", $"{model.ByteCount:N0} bytes"),
            ("on disk", $"{fileBytes:N0} bytes"),
            ("bits a weight", model.BitsPerWeight.ToString("0.000", culture)),
            ("blocks", model.Blocks.Count.ToString(culture)),
            ("width", model.Width.ToString("N0", culture)),
            ("context", $"{model.ContextLength:N0} tokens"),
            ("vocabulary", model.VocabularySize.ToString("N0", culture)),
            ("tokenizer", $"{tokenizer.Kind}, {tokenizer.Count:N0} tokens, BOS {Id(tokenizer.BosId)}, EOS {Id(tokenizer.EosId)}, sha256 {tokenizer.Hash}"),
        ]);
        session.Document(json =>
        {
            json.WriteString("family", model.Family);
            json.WriteStartObject("facts");
            foreach ((string name, string value) in model.Facts)
                json.WriteString(name, value);
            json.WriteEndObject();
            json.WriteNumber("parameters", model.ParameterCount);
            json.WriteNumber("bytes", model.ByteCount);
            json.WriteNumber("bitsPerWeight", model.BitsPerWeight);
            json.WriteNumber("fileBytes", fileBytes);
            json.WriteNumber("blocks", model.Blocks.Count);
            json.WriteNumber("width", model.Width);
            json.WriteNumber("context", model.ContextLength);
            json.WriteNumber("vocabulary", model.VocabularySize);
            json.WriteStartObject("tokenizer");
            json.WriteString("kind", tokenizer.Kind);
            json.WriteNumber("count", tokenizer.Count);
            json.Number("bos", tokenizer.BosId);
            json.Number("eos", tokenizer.EosId);
            json.WriteString("hash", tokenizer.Hash);
            json.WriteEndObject();
            json.Array("weights", rows, row =>
            {
                json.WriteString("name", row.Name);
                json.WriteStartArray("shape");
                foreach (int size in row.Shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteString("kind", row.Kind);
                json.WriteNumber("bytes", row.Bytes);
                json.WriteNumber("bitsPerWeight", row.BitsPerWeight);
                json.Number("sparsity", row.Sparsity);
            });
        });
        return ExitCode.Done;
    }

    static string Id(int? id) => id?.ToString(CultureInfo.InvariantCulture) ?? "none";

    /// <summary>A weight under the name that a recipe's targets match: the checkpoint's, without <c>.weight</c>.</summary>
    sealed record Row(string Name, IReadOnlyList<int> Shape, string Kind, long Bytes, double BitsPerWeight, double? Sparsity)
    {
        public static Row Of(string name, MatrixLayer layer, bool zeros) =>
            new(name, layer.Weight.Shape.ToArray(), layer.Weight.Kind, layer.Weight.ByteCount, layer.Weight.BitsPerWeight, zeros ? layer.Weight.Sparsity() : null);

        public static Row Of(string name, Tensor vector, bool zeros) =>
            new(name[..name.LastIndexOf('.')], vector.Shape.ToArray(), "f32", 4L * vector.Shape.Length, 32, zeros ? (double)vector.Data.Count(0f) / vector.Shape.Length : null);
    }
}

using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Evaluation;

/// <summary>A text, or a pair, with its class.</summary>
/// <param name="Text">The text.</param>
/// <param name="Second">The second text of a pair, or null.</param>
/// <param name="Label">The class by its name or its number from 0.</param>
public sealed record LabelledText(string Text, string? Second, string Label);

/// <summary>Texts with classes from a .tsv with a head line, as GLUE's tasks have it, or a .jsonl: columns or fields <c>sentence</c> (or <c>text</c>, <c>sentence1</c>), <c>sentence2</c> and <c>label</c>. Empty lines are passed over.</summary>
/// <param name="Texts">In the file's order.</param>
/// <param name="Hash">SHA-256 of the file.</param>
public sealed record LabelledTexts(ImmutableArray<LabelledText> Texts, string Hash)
{
    const string Pair = "sentence2";

    static readonly string[] first = ["sentence", "text", "sentence1"];

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="label">The column or field that is the class.</param>
    /// <exception cref="CoppiceException">It cannot be read, or a line lacks what is wanted; the message names the line.</exception>
    public static LabelledTexts Read(string path, string label = "label")
    {
        try
        {
            string[] lines = File.ReadAllLines(path);
            ImmutableArray<LabelledText> texts = Path.GetExtension(path).Equals(".tsv", StringComparison.OrdinalIgnoreCase) ? Columns(path, lines, label) : Fields(path, lines, label);
            return texts.IsEmpty
                ? throw new CoppiceException($"{path}: holds no labelled texts")
                : new LabelledTexts(texts, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{path}: could not be read: {error.Message}", error);
        }
    }

    static ImmutableArray<LabelledText> Columns(string path, string[] lines, string label)
    {
        string[] heads = lines.Length == 0 ? [] : lines[0].Split('\t');
        int text = Array.FindIndex(heads, first.Contains), pair = Array.IndexOf(heads, Pair), truth = Array.IndexOf(heads, label);
        if (text < 0 || truth < 0)
            throw new CoppiceException($"{path}: its head line has columns {string.Join(", ", heads)}, wanted {string.Join(" or ", first)}, and {label}");
        return [.. lines.Index().Skip(1).Where(line => line.Item.Length > 0).Select(numbered =>
        {
            (int i, string line) = numbered;
            string[] cells = line.Split('\t');
            return cells.Length == heads.Length
                ? new LabelledText(cells[text], pair < 0 ? null : cells[pair], cells[truth])
                : throw new CoppiceException($"{path}: line {i + 1} has {cells.Length} cells, wanted {heads.Length}");
        })];
    }

    static ImmutableArray<LabelledText> Fields(string path, string[] lines, string label) => [.. lines.Index().Where(line => !string.IsNullOrWhiteSpace(line.Item)).Select(numbered =>
    {
        (int i, string line) = numbered;
        string place = $"{path}, line {i + 1}";
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonFields fields = new(place, document.RootElement);
            string text = first.FirstOrDefault(fields.Has) ?? throw fields.Error($"has none of {string.Join(", ", first)}");
            return new LabelledText(fields.Text(text), fields.Has(Pair) ? fields.Text(Pair) : null, fields.IsNumber(label) ? $"{fields.Integer(label)}" : fields.Text(label));
        }
        catch (JsonException error)
        {
            throw new CoppiceException($"{place}: is no JSON: {error.Message}", error);
        }
    })];
}

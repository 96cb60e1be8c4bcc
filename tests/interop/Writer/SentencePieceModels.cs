using System.Text.Json;
using Coppice.Text;

namespace Coppice.Interop;

/// <summary>What Coppice makes of models of SentencePiece's own, which lie in OUT/sentencepiece.</summary>
static class SentencePieceModels
{
    /// <summary>Writes NAME.json beside each NAME.model: of every line the ids, and the text that they are.</summary>
    public static string[] Write(string output, IReadOnlyList<string> lines)
    {
        List<string> names = [];
        foreach (string file in Directory.GetFiles(Path.Combine(output, "sentencepiece"), "*.model").Order(StringComparer.Ordinal))
        {
            Tokenizer tokenizer = Tokenizer.Load(file);
            using FileStream stream = File.Create(Path.ChangeExtension(file, ".json"));
            JsonSerializer.Serialize(stream, lines.Select(line => tokenizer.Encode(line)).Select(ids => new { Ids = ids, Text = tokenizer.Decode(ids) }).ToArray(), JsonSerializerOptions.Web);
            names.Add(Path.GetFileNameWithoutExtension(file));
        }
        return [.. names];
    }
}

using System.Text.Json;
using Coppice.Formats;
using Coppice.Text;

namespace Coppice.Interop;

/// <summary>A tokenizer of each type: its file as Coppice wrote it back, and what Coppice makes of every line.</summary>
static class TokenizerTypes
{
    const int LineCount = 10_000, CorpusDocuments = 400;

    /// <summary>The lines that tokenizers are compared on.</summary>
    public static string[] Lines { get; } = [.. MixedScripts.Lines(seed: 1, LineCount)];

    /// <summary>Writes OUT/types/NAME/tokenizer.json and ids.json, and OUT/types/lines.json.</summary>
    public static string[] Write(string output)
    {
        string folder = Path.Combine(output, "types");
        Directory.CreateDirectory(folder);
        string[] lines = Lines;
        Put(Path.Combine(folder, "lines.json"), lines);
        string[] corpus = [.. Corpus.Open("sdk:train").Documents.Take(CorpusDocuments).SelectMany(document => document.Text.Split('\n')), .. lines.Take(1000)];
        List<string> names = [];
        foreach ((string name, System.Text.Json.Nodes.JsonObject file) in Recipes.All(corpus))
        {
            string made = Path.Combine(folder, name + ".made");
            Directory.CreateDirectory(made);
            File.WriteAllText(Path.Combine(made, "tokenizer.json"), file.ToJsonString());
            Tokenizer tokenizer = Tokenizer.Load(made);
            tokenizer.Save(Path.Combine(folder, name));
            Put(Path.Combine(folder, name, "ids.json"), lines.Select((line, index) =>
            {
                int[] ids = tokenizer.Encode(line, SpecialMarkers.Parse);
                return new { Ids = ids, ForModel = tokenizer.EncodeForModel(line, lines[(index + 1) % lines.Length], SpecialMarkers.Parse), Text = tokenizer.Decode(ids) };
            }).ToArray());
            names.Add(name);
        }
        return [.. names];
    }

    static void Put<T>(string path, T value)
    {
        using FileStream stream = File.Create(path);
        JsonSerializer.Serialize(stream, value, JsonSerializerOptions.Web);
    }
}

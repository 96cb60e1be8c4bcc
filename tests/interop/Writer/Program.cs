using System.Text.Json;
using Coppice.Formats;
using Coppice.Interop;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights.Blocks;

// Writes files for other programs to read, and what Coppice itself makes of those same files:
//   Writer OUT MODEL
// OUT/reference.json names everything; see docs/interop.md.
if (args is not [string output, string source])
{
    Console.Error.WriteLine("usage: Writer OUT MODEL");
    return 2;
}

using WorkerPool pool = new(Environment.ProcessorCount);
Directory.CreateDirectory(output);
LanguageModel given = LanguageModel.Load(source);
given.Save(Path.Combine(output, "given"));

// The common types thoroughly, the others by one text: their files differ in nothing but the blocks. Rows of the random model hold no blocks of 256.
GgmlType[] common = [GgmlType.F16, GgmlType.Q8_0, GgmlType.Q4_0];
(string Name, LanguageModel Model, GgmlType[] Others)[] models =
[
    ("given", given, [GgmlType.BF16, .. GgmlType.All.Where(type => type.Blocks is not null).Except(common)]),
    ("grouped", GroupedModel.Create(given.Tokenizer, seed: 1), []),
];
List<Run> runs = [];
foreach ((string name, LanguageModel model, GgmlType[] others) in models)
    foreach (GgmlType type in (GgmlType[])[.. common, .. others])
    {
        string file = $"{name}-{type}.gguf";
        model.SaveGguf(Path.Combine(output, file), type);
        // Read back, so that both programs compute from the same rounded numbers.
        runs.AddRange(Run.Record(LanguageModel.Load(Path.Combine(output, file)), output, file, type, common.Contains(type) ? 3 : 1, pool));
    }

List<Run> families = [];
foreach ((string name, LanguageModel model) in FamilyModels.AllDecoders().Concat(PrunedModels.All(pool)))
{
    string file = $"{name}.gguf";
    model.SaveGguf(Path.Combine(output, file), GgmlType.F16);
    families.Add(Run.Forced(LanguageModel.Load(Path.Combine(output, file)), output, file, GgmlType.F16, pool));
}
List<Embedded> embedded = [];
foreach ((string name, LanguageModel model) in FamilyModels.AllEncoders())
{
    string file = $"{name}.gguf";
    model.SaveGguf(Path.Combine(output, file), GgmlType.F16);
    embedded.AddRange(Embedded.Record(LanguageModel.Load(Path.Combine(output, file)), file, pool));
}

Reference reference = new("given", given.Model.VocabularySize, [.. Lines.Of(given.Tokenizer)], [.. runs], [.. OnnxRun.Record(output, pool)], [.. families], [.. embedded], TokenizerTypes.Write(output),
    SentencePieceModels.Write(output, TokenizerTypes.Lines), VocabularyFiles.Write(output, TokenizerTypes.Lines));
using FileStream json = File.Create(Path.Combine(output, "reference.json"));
JsonSerializer.Serialize(json, reference, JsonSerializerOptions.Web);
return 0;

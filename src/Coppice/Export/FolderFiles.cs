using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Export;

/// <summary>What a Hugging Face folder holds besides weights: config.json, tokenizer, and whatever else came with the source.</summary>
static class FolderFiles
{
    /// <summary>Writes config.json: a folder's own, but for what it says of types and quantization.</summary>
    /// <param name="source">What is converted.</param>
    /// <param name="built">The folder to write into.</param>
    /// <param name="type">The type of what is not packed; null where it stays as it was.</param>
    /// <param name="quantization">How packed matrices are laid out; null where there are none.</param>
    public static void WriteConfig(ConversionSource source, string built, DType? type, JsonObject? quantization)
    {
        JsonObject config;
        if (source.Folder is null)
        {
            LanguageModel language = source.Model.Language;
            config = ModelFolder.Config(language.Model, type ?? DType.F16, language.Tokenizer.BosId, language.Tokenizer.EosId);
        }
        else
        {
            string path = Path.Combine(source.Path, Checkpoint.ConfigName);
            using JsonDocument document = JsonFile.Read(path);
            config = JsonObject.Create(document.RootElement.Clone()) ?? throw new CoppiceException($"{path}: holds a {document.RootElement.ValueKind}, wanted an object");
            config.Remove(CompressionConfig.Key);
            config.Remove(CompressionConfig.OldKey);
            if (type is { } plain)
                config[config.ContainsKey("dtype") ? "dtype" : "torch_dtype"] = plain switch { DType.F16 => "float16", DType.BF16 => "bfloat16", _ => "float32" };
        }
        if (quantization is not null)
            config[CompressionConfig.Key] = quantization;
        AtomicFile.Write(Path.Combine(built, Checkpoint.ConfigName), stream =>
        {
            using Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            config.WriteTo(writer);
        });
    }

    /// <summary>Copies a folder's other files, or writes the tokenizer of a file.</summary>
    /// <returns>The files, and what has no place.</returns>
    public static (ImmutableArray<string> Files, ImmutableArray<string> LeftOut) Complete(ConversionSource source, string built)
    {
        if (source.Folder is not null)
        {
            ImmutableArray<string> names = [.. SideFiles.Of(source.Path)];
            foreach (string name in names)
                SideFiles.Copy(source.Path, name, built);
            return (names, [.. SideFiles.Folders(source.Path)]);
        }
        Tokenizer tokenizer = source.Model.Language.Tokenizer;
        tokenizer.Save(built);
        return ([.. tokenizer.Files.Select(file => file.Name)], source.Model.Checkpoint is Gguf gguf ? [.. gguf.Metadata.Keys.Where(key => IsForgotten(key, gguf)).Order(StringComparer.Ordinal)] : []);
    }

    // Sizes are in config.json, the vocabulary in the tokenizer's files.
    static bool IsForgotten(string key, Gguf gguf) => key.StartsWith("general.", StringComparison.Ordinal)
        ? key is not ("general.architecture" or "general.name" or "general.quantization_version" or "general.file_type" or "general.alignment")
        : !key.StartsWith("tokenizer.", StringComparison.Ordinal) && !key.StartsWith(gguf.Get<string>("general.architecture") + ".", StringComparison.Ordinal);
}

using Coppice.Formats;

namespace Coppice.Export;

/// <summary>What lies in a model's folder besides its weights and their description: tokenizer, chat template, generation settings, licence.</summary>
static class SideFiles
{
    static readonly string[] weights = [".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", ".partial"];
    static readonly string[] described = [Checkpoint.ConfigName, SafeTensors.IndexName, "pytorch_model.bin.index.json", "quantize_config.json", "quant_config.json", AtomicFolder.Marker];

    /// <summary>Files of a folder that would come along into another.</summary>
    public static IEnumerable<string> Of(string folder) => Directory.EnumerateFiles(folder).Select(file => Path.GetFileName(file)!)
        .Where(name => !described.Contains(name) && !name.StartsWith('.') && (name == "tokenizer.bin" || !weights.Contains(Path.GetExtension(name).ToLowerInvariant())))
        .Order(StringComparer.Ordinal);

    /// <summary>Folders inside a folder, which stay behind.</summary>
    public static IEnumerable<string> Folders(string folder) => Directory.EnumerateDirectories(folder).Select(path => Path.GetFileName(path) + "/").Where(name => !name.StartsWith('.')).Order(StringComparer.Ordinal);

    /// <summary>Copies a file into another folder, flushed.</summary>
    public static void Copy(string folder, string name, string to) => AtomicFile.Write(Path.Combine(to, name), stream =>
    {
        using FileStream from = File.OpenRead(Path.Combine(folder, name));
        from.CopyTo(stream);
    });
}

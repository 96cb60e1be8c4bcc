using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Export;

/// <summary>What is converted. A folder is also opened as the tensors that it holds, whatever model they are of.</summary>
sealed class ConversionSource : IDisposable
{
    readonly Lazy<OpenModel> model;
    readonly ICheckpoint? checkpoint;

    public ConversionSource(string path)
    {
        if (!System.IO.Path.Exists(path))
            throw new CoppiceException($"{path}: there is no such file or folder");
        Path = path;
        checkpoint = Directory.Exists(path) ? Formats.Checkpoint.Open(path, WeightReading.OnDemand) : null;
        model = new(() => OpenModel.Open(path));
    }

    /// <summary>The folder or file.</summary>
    public string Path { get; }

    /// <summary>A folder's tensors under their own names; null for a file.</summary>
    public ICheckpoint? Folder => checkpoint;

    /// <summary>The model, where a family knows it.</summary>
    public OpenModel Model => model.Value;

    /// <summary>The chat template that comes with the model, or null.</summary>
    public string? ChatTemplate => checkpoint is not null ? FolderTemplate()
        : Model.Checkpoint is Gguf gguf && gguf.Metadata.ContainsKey(DecoderGguf.ChatTemplateKey) ? gguf.Get<string>(DecoderGguf.ChatTemplateKey) : null;

    /// <summary>Names, sizes and times of what is read: with the options, what tells one run's bytes from another's.</summary>
    public string Signature(ConversionOptions options)
    {
        IEnumerable<FileInfo> files = checkpoint is null ? [new FileInfo(Path)] : new DirectoryInfo(Path).EnumerateFiles().OrderBy(file => file.Name, StringComparer.Ordinal);
        StringBuilder facts = new($"{typeof(ConversionSource).Assembly.GetName().Version} {options} {System.IO.Path.GetFullPath(Path)}");
        foreach (FileInfo file in files)
            facts.Append('\n').Append(file.Name).Append(' ').Append(file.Length).Append(' ').Append(file.LastWriteTimeUtc.Ticks);
        return "conversion " + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(facts.ToString())));
    }

    public void Dispose()
    {
        checkpoint?.Dispose();
        if (model.IsValueCreated)
            model.Value.Dispose();
    }

    // A file of its own, or a field of the tokenizer's settings: one text, or several by name.
    string? FolderTemplate()
    {
        string file = System.IO.Path.Combine(Path, "chat_template.jinja"), settings = System.IO.Path.Combine(Path, "tokenizer_config.json");
        if (File.Exists(file))
            return File.ReadAllText(file);
        if (!File.Exists(settings))
            return null;
        using JsonDocument json = JsonFile.Read(settings);
        if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("chat_template", out JsonElement template))
            return null;
        if (template.ValueKind == JsonValueKind.String)
            return template.GetString();
        return template.ValueKind == JsonValueKind.Array
            ? template.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object && new JsonFields(settings, item).Text("name", "") == "default")
                .Select(item => new JsonFields(settings, item).Text("template")).FirstOrDefault()
            : null;
    }
}

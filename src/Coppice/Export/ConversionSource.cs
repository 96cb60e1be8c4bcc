using System.Security.Cryptography;
using System.Text;
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
}

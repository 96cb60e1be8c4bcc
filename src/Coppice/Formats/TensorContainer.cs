using System.Collections.Immutable;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>Named tensors in one file or in shards. Opening reads headers only; numbers are read, or mapped, a tensor at a time.</summary>
public abstract class TensorContainer : ICheckpoint
{
    readonly List<BinaryFile> files = [];
    readonly Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);

    private protected TensorContainer(string path) => Path = path;

    /// <inheritdoc/>
    public string Path { get; }

    /// <summary>How what is not read at once is read.</summary>
    internal WeightReading Reading
    {
        set => files.ForEach(file => file.Reading = value);
    }

    /// <summary>Every tensor by its name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries => entries;

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Names => entries.Keys;

    /// <inheritdoc/>
    public ImmutableArray<long> ShapeOf(string name) => Find(name).Shape;

    /// <inheritdoc/>
    public Weight ReadWeight(string name) => Find(name).ReadWeight();

    /// <inheritdoc/>
    public Weight OpenWeight(string name) => Find(name).OpenWeight();

    /// <inheritdoc/>
    public Tensor ReadTensor(string name) => Find(name).ReadTensor();

    /// <inheritdoc/>
    public TensorEntry? Entry(string name) => Find(name);

    /// <summary>A tensor by its name.</summary>
    /// <exception cref="CoppiceException">There is none.</exception>
    public TensorEntry Find(string name) => entries.TryGetValue(name, out TensorEntry? entry)
        ? entry
        : throw FormatError.At(Path, $"has no tensor '{name}' among its {entries.Count}");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (BinaryFile file in files)
            file.Dispose();
    }

    /// <summary>Takes tensors of another container, which keeps their file.</summary>
    private protected void Borrow(IEnumerable<TensorEntry> lent)
    {
        foreach (TensorEntry entry in lent)
            entries.Add(entry.Name, entry);
    }

    /// <summary>Takes over a file and what it holds.</summary>
    /// <param name="file">Closed with this.</param>
    /// <param name="read">Gives the file's tensors.</param>
    /// <param name="wanted">Of a sharded model, what its index says the file has; null for a file that stands alone.</param>
    private protected void Add(BinaryFile file, Func<BinaryFile, IEnumerable<TensorEntry>> read, ShardNames? wanted)
    {
        files.Add(file);
        foreach (TensorEntry entry in read(file))
            if (wanted is null || wanted.Names.Contains(entry.Name))
                entries.Add(entry.Name, entry);
            else if (wanted.Everywhere.Contains(entry.Name))
                throw entry.Error($"is one that {wanted.IndexName} puts into another shard: it is there twice");
        foreach (string name in wanted?.Names ?? Enumerable.Empty<string>())
            if (!entries.ContainsKey(name))
                throw file.Error($"has no tensor '{name}', which {wanted!.IndexName} says it has");
    }
}

using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Server.Rounds;

/// <summary>A model's blob, cut into slices, runs of tensors of some megabytes each, sorted by name, and these into pieces. One piece of it is in memory at a time.</summary>
sealed class StoredModel : IDisposable
{
    readonly SafeTensors file;
    readonly List<StoredTensor[]> slices = [];

    /// <summary>Opens a blob of float32 tensors.</summary>
    public StoredModel(string path, RunSettings settings)
    {
        file = SafeTensors.Open(path);
        // What has to be decoded as a whole is not cut.
        bool cut = settings.Federation.Codec is PositionalCodec;
        List<StoredTensor> slice = [];
        long bytes = 0;
        foreach (TensorEntry entry in file.Entries.Values.OrderBy(entry => entry.Name, StringComparer.Ordinal))
        {
            if (cut && slice.Count > 0 && bytes + entry.ByteCount > settings.SliceBytes)
            {
                slices.Add([.. slice]);
                slice.Clear();
                bytes = 0;
            }
            slice.Add(new StoredTensor(entry.Name, [.. entry.Shape.Select(size => (int)size)], (int)(bytes / sizeof(float))));
            bytes += entry.ByteCount;
        }
        slices.Add([.. slice]);
    }

    /// <summary>How many slices there are.</summary>
    public int SliceCount => slices.Count;

    /// <summary>Its tensors, in order.</summary>
    public IEnumerable<StoredTensor> Tensors => slices.SelectMany(slice => slice);

    /// <summary>The tensors of a slice, in order.</summary>
    public IReadOnlyList<StoredTensor> Slice(int slice) => slices[slice];

    /// <summary>Reads a run of a tensor's numbers.</summary>
    public void Read(string tensor, int first, Span<float> values) => file.Find(tensor).ReadFinite(first, values);

    /// <summary>All numbers.</summary>
    public ParameterSet Whole() => new(file.Entries.Keys.Select(name => (name, file.ReadTensor(name))));

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}

/// <summary>A tensor of a stored model.</summary>
/// <param name="Place">Where its numbers begin among those of its slice.</param>
sealed record StoredTensor(string Name, Shape Shape, int Place)
{
    /// <summary>Its pieces: where each begins, and how many numbers it has.</summary>
    public IEnumerable<(int First, int Count)> Pieces => Enumerable.Range(0, (Shape.Length + ParameterSet.PieceLength - 1) / ParameterSet.PieceLength)
        .Select(i => (i * ParameterSet.PieceLength, Math.Min(ParameterSet.PieceLength, Shape.Length - i * ParameterSet.PieceLength)));
}

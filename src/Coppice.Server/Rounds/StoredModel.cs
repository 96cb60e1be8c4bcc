using Coppice.Federation;
using Coppice.Formats;

namespace Coppice.Server.Rounds;

/// <summary>A model's blob, cut into slices: runs of tensors, sorted by name, of some megabytes each. One slice of it is in memory at a time.</summary>
sealed class StoredModel : IDisposable
{
    readonly SafeTensors file;
    readonly List<string[]> slices = [];
    readonly Dictionary<string, int> places = new(StringComparer.Ordinal);

    /// <summary>Opens a blob of float32 tensors.</summary>
    public StoredModel(string path, RunSettings settings)
    {
        file = SafeTensors.Open(path);
        List<string> slice = [];
        long bytes = 0;
        foreach (TensorEntry entry in file.Entries.Values.OrderBy(entry => entry.Name, StringComparer.Ordinal))
        {
            if (settings.TensorByTensor && slice.Count > 0 && bytes + entry.ByteCount > settings.SliceBytes)
            {
                slices.Add([.. slice]);
                slice.Clear();
                bytes = 0;
            }
            slice.Add(entry.Name);
            places.Add(entry.Name, slices.Count);
            bytes += entry.ByteCount;
        }
        slices.Add([.. slice]);
    }

    /// <summary>How many slices there are.</summary>
    public int SliceCount => slices.Count;

    /// <summary>How many numbers the model has.</summary>
    public long Count => file.Entries.Values.Sum(entry => entry.Count);

    /// <summary>Its tensors.</summary>
    public IEnumerable<TensorEntry> Entries => file.Entries.Values;

    /// <summary>The numbers of a slice.</summary>
    public ParameterSet Slice(int slice) => new(slices[slice].Select(name => (name, file.ReadTensor(name))));

    /// <summary>All numbers.</summary>
    public ParameterSet Whole() => new(places.Keys.Select(name => (name, file.ReadTensor(name))));

    /// <summary>The slice that a message's tensor belongs to: that of the parameter <c>NAME</c> whose name it has, alone or as <c>NAME.part</c>; null for one that is of none.</summary>
    public int? PlaceOf(string tensor)
    {
        for (string name = tensor; ; name = name[..name.LastIndexOf('.')])
            if (places.TryGetValue(name, out int slice))
                return slice;
            else if (!name.Contains('.'))
                return null;
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}

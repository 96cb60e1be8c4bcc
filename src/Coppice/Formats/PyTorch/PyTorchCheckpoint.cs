using System.Buffers.Binary;
using Coppice.Tensors;

namespace Coppice.Formats.PyTorch;

/// <summary>
/// The tensors of a file that <c>torch.save</c> wrote (.bin, .pt, .pth): a state dict, or one inside a dict under <c>state_dict</c>, <c>model_state_dict</c>, <c>model</c> or <c>module</c>; both the zip that PyTorch writes since 1.6 and the pickles
/// that it wrote before. Or of a folder with <c>pytorch_model.bin</c> or shards named by its index. Only a state dict's own names are known to the reader: nothing in a file is run.
/// </summary>
public sealed class PyTorchCheckpoint : TensorContainer
{
    /// <summary>The index of a sharded folder.</summary>
    public const string IndexName = "pytorch_model.bin.index.json";

    /// <summary>The file of a folder that is not sharded.</summary>
    public const string SingleName = "pytorch_model.bin";

    static readonly string[] Wrappers = ["state_dict", "model_state_dict", "model", "module"];

    PyTorchCheckpoint(string path) : base(path) { }

    /// <summary>Opens a file or a folder. Only the pickle is read.</summary>
    /// <exception cref="CoppiceException">A file is absent, unreadable or damaged, or holds something else than a state dict.</exception>
    public static PyTorchCheckpoint Open(string path)
    {
        PyTorchCheckpoint checkpoint = new(path);
        try
        {
            if (!Directory.Exists(path))
                checkpoint.Add(new BinaryFile(path), ReadFile, wanted: null);
            else if (File.Exists(System.IO.Path.Combine(path, SingleName)))
                checkpoint.Add(new BinaryFile(System.IO.Path.Combine(path, SingleName)), ReadFile, wanted: null);
            else
                foreach (ShardNames shard in ShardIndex.Read(path, IndexName, out _))
                    checkpoint.Add(new BinaryFile(System.IO.Path.Combine(path, shard.FileName)), ReadFile, shard);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    static IEnumerable<TensorEntry> ReadFile(BinaryFile file)
    {
        byte[] head = new byte[Math.Min(file.Length, 4)];
        file.Read(0, head, "the start");
        (object? root, Func<TorchStorage, long> find) = ZipFile.Starts(head) ? ReadZip(file)
            : head.Length == 4 && head[0] == 0x80 ? LegacyFile.Read(file)
            : throw file.Error("starts neither as a zip nor as a pickle; is it another format?");
        return EntriesOf(file, StateDict(file, root), find);
    }

    static (object? Root, Func<TorchStorage, long> Find) ReadZip(BinaryFile file)
    {
        ZipFile zip = ZipFile.Read(file);
        // Everything lies in one folder, named after the file that was written.
        string[] pickles = [.. zip.Names.Where(name => name == "data.pkl" || name.EndsWith("/data.pkl", StringComparison.Ordinal))];
        if (pickles.Length != 1)
            throw file.Error($"holds {pickles.Length} data.pkl, wanted one");
        string folder = pickles[0][..^"data.pkl".Length];
        CheckByteOrder(file, zip, folder + "byteorder");
        (long begin, long length) = zip.Find(pickles[0])!.Value;
        object? root = Pickle.Read(file, begin, begin + length, pickles[0], out _);
        return (root, storage =>
        {
            (long at, long bytes) = zip.Find($"{folder}data/{storage.Key}") ?? throw file.Error($"has no storage '{storage.Key}', which its pickle names");
            return bytes / (storage.Type?.Size() ?? 1) >= storage.Count ? at : throw file.Error($"storage '{storage.Key}' has {bytes:N0} bytes, too few for {storage.Count:N0} numbers");
        }
        );
    }

    static void CheckByteOrder(BinaryFile file, ZipFile zip, string name)
    {
        if (zip.Find(name) is not var (begin, length))
            return;
        byte[] order = new byte[Math.Min(length, 16)];
        file.Read(begin, order, name);
        if (!order.AsSpan().SequenceEqual("little"u8))
            throw file.Error("is of another byte order than little");
    }

    static PickleDict StateDict(BinaryFile file, object? root)
    {
        for (int depth = 0; depth < 4 && root is PickleDict dict; depth++)
        {
            if (dict.Items.Any(item => item is { Key: string, Value: TorchTensor }))
                return dict;
            root = Wrappers.Select(wrapper => dict.Items.LastOrDefault(item => item.Key is string key && key == wrapper).Value).FirstOrDefault(value => value is PickleDict);
        }
        throw file.Error($"holds no state dict, nor one under {string.Join(", ", Wrappers)}");
    }

    // What else lies beside tensors (counts, versions) is of no use here. Of a key that is there twice, the last counts, as in Python.
    static IEnumerable<TensorEntry> EntriesOf(BinaryFile file, PickleDict dict, Func<TorchStorage, long> find)
    {
        Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);
        Dictionary<string, (TorchStorage Storage, long Begin)> storages = new(StringComparer.Ordinal);
        foreach ((object? key, object? value) in dict.Items)
        {
            if (key is not string name || value is not TorchTensor tensor)
                continue;
            if (!storages.TryGetValue(tensor.Storage.Key, out var storage))
                storages.Add(tensor.Storage.Key, storage = (tensor.Storage, find(tensor.Storage)));
            if (storage.Storage != tensor.Storage)
                throw file.Error($"tensor '{name}' has storage '{tensor.Storage.Key}' as {tensor.Storage.Count:N0} numbers of {tensor.Storage.Type}, which another has as {storage.Storage.Count:N0} of {storage.Storage.Type}");
            entries[name] = Entry(file, name, tensor, storage.Begin);
        }
        return entries.Values;
    }

    static TensorEntry Entry(BinaryFile file, string name, TorchTensor tensor, long begin)
    {
        CoppiceException Wrong(string message) => file.Error($"tensor '{name}' {message}");
        int size = tensor.Type.Size();
        long room = tensor.Storage.Type is { } type ? tensor.Storage.Count : tensor.Storage.Count / size, count = 1, last = tensor.Offset;
        if (tensor.Storage.Type is { } held && held != tensor.Type)
            throw Wrong($"is {tensor.Type}, its storage {held}");
        try
        {
            foreach (long axis in tensor.Shape)
                count = checked(count * axis);
            if (count > 0)
                for (int i = 0; i < tensor.Shape.Length; i++)
                    last = checked(last + (tensor.Shape[i] - 1) * tensor.Strides[i]);
        }
        catch (OverflowException)
        {
            throw Wrong($"is {TensorEntry.Describe(tensor.Shape)}, more than any storage holds");
        }
        // A stride of 0 repeats numbers without end.
        if (count > room || count > 0 && last >= room)
            throw Wrong($"is {TensorEntry.Describe(tensor.Shape)} up to number {last:N0} of a storage of {room:N0}");
        long at = begin + tensor.Offset * size;
        return IsContiguous(tensor) || count <= 1
            ? new TensorEntry(file, name, tensor.Type, tensor.Shape, count == 0 ? begin : at, count * size)
            : new TensorEntry(file, name, tensor.Type, tensor.Shape, at, count * size, new StridedLayout(tensor.Shape, tensor.Strides, (last - tensor.Offset + 1) * size, size));
    }

    static bool IsContiguous(TorchTensor tensor)
    {
        long stride = 1;
        for (int i = tensor.Shape.Length - 1; i >= 0; i--)
        {
            if (tensor.Shape[i] != 1 && tensor.Strides[i] != stride)
                return false;
            stride *= tensor.Shape[i];
        }
        return true;
    }
}

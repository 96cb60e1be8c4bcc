using System.Buffers.Binary;
using System.Numerics;
using Coppice.Tensors;

namespace Coppice.Formats.PyTorch;

/// <summary>What PyTorch wrote before 1.6: pickles of a magic number, a version, the machine, the object and the storages' keys, then each storage as a count of 64 bits and its numbers.</summary>
static class LegacyFile
{
    // 0x1950a86a20f9469cfc6c.
    static readonly BigInteger Magic = new([0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]);

    const long Version = 1001;

    /// <summary>Reads the object, and gives the place of every storage's numbers.</summary>
    /// <exception cref="CoppiceException">The file is damaged or holds what is not read.</exception>
    public static (object? Root, Func<TorchStorage, long> Find) Read(BinaryFile file)
    {
        long at = 0;
        object? Next(string what) => Pickle.Read(file, at, file.Length, what, out at);
        if (Next("the magic number") is not BigInteger magic || magic != Magic)
            throw file.Error("is a pickle, but none of PyTorch's");
        if (Next("the version") is not (long and Version))
            throw file.Error($"is of another version than {Version}");
        if (Next("the machine's description") is PickleDict machine && machine.Items.Any(item => item is { Key: "little_endian", Value: false }))
            throw file.Error("is of another byte order than little");
        object? root = Next("the object");
        if (Next("the storages' keys") is not PickleList keys)
            throw file.Error("has no list of storages");
        // How long a storage is only its tensors know, by their type.
        Dictionary<string, TorchStorage> sizes = new(StringComparer.Ordinal);
        Collect(root, sizes);
        Dictionary<string, long> begins = new(StringComparer.Ordinal);
        Span<byte> count = stackalloc byte[8];
        foreach (object? item in keys.Items)
        {
            if (item is not string key || !sizes.TryGetValue(key, out TorchStorage? storage) || storage.Type is not { } type)
                throw file.Error($"has storage '{item}', of which nothing tells what it holds");
            file.Read(at, count, $"storage '{key}'");
            long numbers = BinaryPrimitives.ReadInt64LittleEndian(count);
            at += 8;
            if (numbers != storage.Count || numbers > (file.Length - at) / type.Size())
                throw file.Error($"storage '{key}' has {numbers:N0} numbers at {at:N0}, wanted {storage.Count:N0} before the end at {file.Length:N0}");
            if (!begins.TryAdd(key, at))
                throw file.Error($"has storage '{key}' twice");
            at += numbers * type.Size();
        }
        return (root, storage => begins.TryGetValue(storage.Key, out long begin) ? begin : throw file.Error($"has no storage '{storage.Key}', which its pickle names"));
    }

    // Every tensor that can be reached through dicts, lists and tuples, each looked at once.
    static void Collect(object? root, Dictionary<string, TorchStorage> storages)
    {
        HashSet<object> seen = new(ReferenceEqualityComparer.Instance);
        Stack<object?> left = new([root]);
        while (left.TryPop(out object? value))
        {
            if (value is TorchTensor tensor)
                storages.TryAdd(tensor.Storage.Key, tensor.Storage);
            else if (value is TorchStorage storage)
                storages.TryAdd(storage.Key, storage);
            IEnumerable<object?> items = value switch
            {
                PickleDict dict => dict.Items.Select(item => item.Value),
                PickleList list => list.Items,
                PickleTuple tuple => tuple.Items,
                _ => [],
            };
            if (value is PickleDict or PickleList or PickleTuple && seen.Add(value))
                foreach (object? item in items)
                    left.Push(item);
        }
    }
}

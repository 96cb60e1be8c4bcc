using System.Collections.Immutable;

namespace Coppice.Formats.PyTorch;

/// <summary>A Python dict or OrderedDict: pairs as they came. Values are null, bool, long, <see cref="System.Numerics.BigInteger"/>, double, string, lists, or one of the types below.</summary>
sealed class PickleDict
{
    public List<(object? Key, object? Value)> Items { get; } = [];
}

/// <summary>A Python list, or a set.</summary>
sealed class PickleList
{
    public List<object?> Items { get; } = [];
}

/// <summary>A Python tuple.</summary>
sealed record PickleTuple(object?[] Items);

/// <summary>Python bytes, which nothing here reads.</summary>
sealed record PickleBytes(long Length);

/// <summary>One of the few names that are known, as module.name.</summary>
sealed record TorchGlobal(string Name);

/// <summary>A flat array that tensors are views of.</summary>
/// <param name="Type">What it holds, or null for plain bytes.</param>
/// <param name="Key">Its name among the file's.</param>
/// <param name="Count">How many numbers, or bytes.</param>
sealed record TorchStorage(DType? Type, string Key, long Count);

/// <summary>A view of a storage; offset and strides count numbers.</summary>
sealed record TorchTensor(TorchStorage Storage, DType Type, long Offset, ImmutableArray<long> Shape, ImmutableArray<long> Strides);

using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Formats.PyTorch;

/// <summary>The names that a state dict's pickle may use, and what they build. There is no other way from a name in a file to anything that runs.</summary>
static class TorchGlobals
{
    const string RebuildTensor = "torch._utils._rebuild_tensor", RebuildTensor2 = "torch._utils._rebuild_tensor_v2", RebuildTensor3 = "torch._utils._rebuild_tensor_v3",
        RebuildParameter = "torch._utils._rebuild_parameter", RebuildParameterWithState = "torch._utils._rebuild_parameter_with_state",
        OrderedDict = "collections.OrderedDict", Size = "torch.Size", Device = "torch.device", UntypedStorage = "torch.storage.UntypedStorage";

    static readonly string[] Functions = [RebuildTensor, RebuildTensor2, RebuildTensor3, RebuildParameter, RebuildParameterWithState, OrderedDict, Size, Device, UntypedStorage];

    static readonly Dictionary<string, DType> StorageTypes = new(StringComparer.Ordinal)
    {
        ["torch.DoubleStorage"] = DType.F64,
        ["torch.FloatStorage"] = DType.F32,
        ["torch.HalfStorage"] = DType.F16,
        ["torch.BFloat16Storage"] = DType.BF16,
        ["torch.LongStorage"] = DType.I64,
        ["torch.IntStorage"] = DType.I32,
        ["torch.ShortStorage"] = DType.I16,
        ["torch.CharStorage"] = DType.I8,
        ["torch.ByteStorage"] = DType.U8,
        ["torch.BoolStorage"] = DType.BOOL,
    };

    static readonly Dictionary<string, DType> Types = new(StringComparer.Ordinal)
    {
        ["torch.float64"] = DType.F64,
        ["torch.float32"] = DType.F32,
        ["torch.float16"] = DType.F16,
        ["torch.bfloat16"] = DType.BF16,
        ["torch.int64"] = DType.I64,
        ["torch.int32"] = DType.I32,
        ["torch.int16"] = DType.I16,
        ["torch.int8"] = DType.I8,
        ["torch.uint8"] = DType.U8,
        ["torch.uint16"] = DType.U16,
        ["torch.uint32"] = DType.U32,
        ["torch.uint64"] = DType.U64,
        ["torch.bool"] = DType.BOOL,
        ["torch.float8_e4m3fn"] = DType.F8_E4M3,
        ["torch.float8_e5m2"] = DType.F8_E5M2,
    };

    /// <summary>The name, if it is a known one.</summary>
    public static TorchGlobal Find(string module, string name, PickleBytesReader bytes)
    {
        string full = $"{module}.{name}";
        return Functions.Contains(full) || StorageTypes.ContainsKey(full) || Types.ContainsKey(full)
            ? new TorchGlobal(full)
            : throw bytes.Error($"asks for {full}, which is not read: a state dict holds tensors and plain values only");
    }

    /// <summary>What a name makes of its arguments.</summary>
    public static object? Call(TorchGlobal function, object?[] arguments, PickleBytesReader bytes)
    {
        CoppiceException Wrong() => bytes.Error($"calls {function.Name} with {arguments.Length} arguments that do not fit");
        if (arguments is [PickleList { Items.Count: var copies }])
            bytes.Charge(copies);
        switch (function.Name)
        {
            case OrderedDict:
                PickleDict dict = new();
                if (arguments is [PickleList pairs])
                    foreach (object? pair in pairs.Items)
                        dict.Items.Add(pair is PickleTuple { Items: [var key, var value] } ? (key, value) : pair is PickleList { Items: [var k, var v] } ? (k, v) : throw Wrong());
                else if (arguments.Length > 0)
                    throw Wrong();
                return dict;
            case Size:
                return arguments is [PickleTuple or PickleList] ? arguments[0] is PickleList list ? new PickleTuple([.. list.Items]) : arguments[0] : throw Wrong();
            case Device:
                return arguments is [string, ..] ? arguments[0] : throw Wrong();
            case RebuildParameter when arguments.Length == 3 || arguments.Length == 4:
            case RebuildParameterWithState when arguments.Length == 4:
                return arguments[0] as TorchTensor ?? throw Wrong();
            case RebuildTensor when arguments.Length >= 4:
            case RebuildTensor2 when arguments.Length >= 6:
                return arguments[0] is TorchStorage { Type: { } type } ? Tensor(arguments, type, bytes) : throw Wrong();
            case RebuildTensor3 when arguments.Length >= 7:
                return arguments[6] is TorchGlobal dtype && Types.TryGetValue(dtype.Name, out DType named) ? Tensor(arguments, named, bytes) : throw Wrong();
            default:
                throw Wrong();
        }
    }

    /// <summary>The storage that a persistent id stands for: ("storage", type, key, device, count).</summary>
    public static TorchStorage Storage(object? id, PickleBytesReader bytes)
    {
        if (id is not PickleTuple { Items: ["storage", TorchGlobal type, string key, string, long count, ..] items } || count < 0)
            throw bytes.Error("has a persistent id that is no storage");
        // Files from before 1.6 could name a part of a storage as one of its own.
        if (items.Length > 6 || items is [_, _, _, _, _, not null])
            throw bytes.Error($"has storage '{key}' as a view of another, which is not read");
        if (type.Name == UntypedStorage)
            return new TorchStorage(null, key, count);
        return StorageTypes.TryGetValue(type.Name, out DType found) ? new TorchStorage(found, key, count) : throw bytes.Error($"has storage '{key}' of type {type.Name}, which is not read");
    }

    // (storage, offset, sizes, strides, ...).
    static TorchTensor Tensor(object?[] arguments, DType type, PickleBytesReader bytes)
    {
        if (arguments is not [TorchStorage storage, long offset and >= 0, PickleTuple sizes, PickleTuple strides, ..] || sizes.Items.Length != strides.Items.Length)
            throw bytes.Error("rebuilds a tensor from arguments that do not fit");
        if (sizes.Items.Length > 16)
            throw bytes.Error($"has a tensor of {sizes.Items.Length} axes, wanted at most 16");
        return new TorchTensor(storage, type, offset, Numbers(sizes), Numbers(strides));

        ImmutableArray<long> Numbers(PickleTuple tuple) => [.. tuple.Items.Select(item => item is long and >= 0 ? (long)item : throw bytes.Error("has a tensor with a size or stride that is no whole number from 0 to 2^63"))];
    }
}

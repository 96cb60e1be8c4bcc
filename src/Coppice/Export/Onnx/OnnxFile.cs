using System.Globalization;
using System.Runtime.InteropServices;
using Coppice.Coding;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;
using static Coppice.Export.Onnx.TensorProto.Types;

namespace Coppice.Export.Onnx;

/// <summary>The parameters of a graph that was written here, read back from its two files.</summary>
sealed class OnnxFile : IDisposable
{
    readonly Dictionary<string, TensorProto> initializers;
    readonly Dictionary<string, NodeProto> readers = new(StringComparer.Ordinal);
    readonly BinaryFile data;

    /// <summary>Opens a graph and the file beside it.</summary>
    public OnnxFile(string path)
    {
        using FileStream stream = File.OpenRead(path);
        GraphProto graph = ModelProto.Parser.ParseFrom(stream).Graph;
        initializers = graph.Initializer.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        foreach (NodeProto node in graph.Node)
            foreach (string input in node.Input)
                readers.TryAdd(input, node);
        data = new BinaryFile(Path.Combine(Path.GetDirectoryName(path)!, OnnxTarget.DataName));
    }

    /// <summary>A vector by our name.</summary>
    public Tensor Vector(string name)
    {
        TensorProto tensor = initializers[name];
        ReadOnlySpan<byte> bytes = tensor.RawData.Span;
        float[] values = tensor.DataType == DataType.Float ? MemoryMarshal.Cast<byte, float>(bytes).ToArray() : Array.ConvertAll(MemoryMarshal.Cast<byte, Half>(bytes).ToArray(), value => (float)value);
        return Tensor.From([values.Length], values);
    }

    /// <summary>A matrix by our name without <c>.weight</c>.</summary>
    public Weight Matrix(string name, Shape shape) => initializers.TryGetValue(name + ".weight", out TensorProto? plain)
        ? new StoredWeight(data, plain.Name, Place(plain).Offset, plain.DataType switch { DataType.Float16 => HalfFormat.Float16, DataType.Bfloat16 => HalfFormat.BFloat16, _ => null }, shape[0], shape[1])
        : new DeferredWeight(shape[0], shape[1], () => Integers(name, shape[0], shape[1]));

    // Codes with zero points throughout, whichever operation reads them.
    Weight Integers(string name, int rows, int columns)
    {
        TensorProto tensor = initializers[name + OnnxPacking.Codes];
        NodeProto reader = readers[tensor.Name];
        long Attribute(string key) => reader.Attribute.FirstOrDefault(attribute => attribute.Name == key)?.I ?? 0;
        bool isBlocked = reader.OpType == "MatMulNBits", isSigned = tensor.DataType is DataType.Int4 or DataType.Int8;
        int bits = isBlocked ? (int)Attribute("bits") : tensor.DataType is DataType.Int4 or DataType.Uint4 ? 4 : 8, block = (int)Attribute("block_size");
        int perRow = block == 0 ? 1 : (columns + block - 1) / block;
        (long begin, int length) = Place(tensor);
        int wordsPerRow = BitPacking.Words(columns, bits), rowBytes = rows == 0 ? 0 : length / rows;
        ReadOnlyMemory<uint> words = new DeferredMemory<uint>(rows, wordsPerRow, (firstRow, read) =>
        {
            byte[] bytes = new byte[rowBytes];
            for (; read.Length > 0; firstRow++, read = read[wordsPerRow..])
            {
                data.Read(begin + (long)firstRow * rowBytes, bytes, $"tensor '{tensor.Name}'");
                Span<byte> codes = Unpack(bytes, bits).AsSpan(0, columns);
                if (isSigned)
                    foreach (ref byte code in codes)
                        code = (byte)((code ^ 1 << bits - 1) & (1 << bits) - 1);
                BitPacking.Pack(codes, bits, read[..wordsPerRow]);
            }
        }).Memory;
        byte[]? zeros = null;
        if (initializers.TryGetValue(name + OnnxPacking.Zeros, out TensorProto? points))
        {
            byte[] all = Unpack(Bytes(points), bits);
            int padded = isBlocked && bits == 4 ? perRow + 1 & ~1 : perRow;
            zeros = [.. Enumerable.Range(0, rows * perRow).Select(i => all[i / perRow * padded + i % perRow])];
        }
        Weight weight = IntWeight.FromWords(bits, block == 0 ? IntWeight.WholeRow : block, rows, columns, words, Floats(initializers[name + OnnxPacking.Scales]), zeros);
        return initializers.TryGetValue(name + OnnxPacking.Order, out TensorProto? order)
            ? new PermutedWeight(weight, Array.ConvertAll(MemoryMarshal.Cast<byte, long>(Bytes(order)).ToArray(), input => (int)input))
            : weight;
    }

    float[] Floats(TensorProto tensor)
    {
        byte[] bytes = Bytes(tensor);
        return tensor.DataType == DataType.Float ? MemoryMarshal.Cast<byte, float>(bytes).ToArray() : Array.ConvertAll(MemoryMarshal.Cast<byte, Half>(bytes).ToArray(), value => (float)value);
    }

    byte[] Bytes(TensorProto tensor)
    {
        (long offset, int length) = Place(tensor);
        byte[] bytes = new byte[length];
        data.Read(offset, bytes, $"tensor '{tensor.Name}'");
        return bytes;
    }

    static (long Offset, int Length) Place(TensorProto tensor)
    {
        string Value(string key) => tensor.ExternalData.Single(entry => entry.Key == key).Value;
        return (long.Parse(Value("offset"), CultureInfo.InvariantCulture), (int)Math.Min(int.MaxValue, long.Parse(Value("length"), CultureInfo.InvariantCulture)));
    }

    static byte[] Unpack(byte[] bytes, int bits)
    {
        if (bits == 8)
            return bytes;
        byte[] codes = new byte[2 * bytes.Length];
        for (int i = 0; i < bytes.Length; i++)
            (codes[2 * i], codes[2 * i + 1]) = ((byte)(bytes[i] & 15), (byte)(bytes[i] >> 4));
        return codes;
    }

    /// <inheritdoc/>
    public void Dispose() => data.Dispose();
}

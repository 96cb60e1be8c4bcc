using System.Runtime.InteropServices;
using System.Text;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Formats;

/// <summary>Writes GGUF version 3. The same input gives the same bytes; keys and tensors stay in the order given.</summary>
public static class GgufWriter
{
    // ggml keeps names in 64 bytes, the last of them 0.
    const int MaxNameBytes = 63;

    /// <summary>A tensor to be written.</summary>
    /// <param name="Entry">Its name and numbers.</param>
    /// <param name="Type">How to store it: any type that is read.</param>
    /// <param name="Told">Told, once its matrix is written, what that did to its numbers; null where nobody asks. Blocks that are copied are not looked at.</param>
    public sealed record Source(CheckpointEntry Entry, GgmlType Type, Action<StoredNumbers>? Told = null);

    /// <summary>Writes a file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="metadata">Numbers, truth values, strings and arrays of these; the .NET type decides the GGUF type.</param>
    /// <param name="tensors">Blocks that are stored in the wanted type already are copied, anything else is rounded.</param>
    /// <param name="options">How; <see cref="WritingOptions.ShardBytes"/> is without effect.</param>
    /// <exception cref="CoppiceException">A tensor does not fit its type, or the file system refused.</exception>
    public static void Write(string path, IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<Source> tensors, WritingOptions? options = null)
    {
        options ??= new WritingOptions();
        using WorkerPool own = new(1);
        foreach (Source tensor in tensors)
            Check(tensor);
        object? stated = metadata.FirstOrDefault(pair => pair.Key == Gguf.AlignmentKey).Value;
        long alignment = stated is null ? Gguf.DefaultAlignment : (uint)stated;
        byte[] header = Header(metadata, tensors, alignment);
        List<PlacedTensor> placed = [];
        long at = header.Length, done = 0, total = tensors.Sum(ByteCount);
        foreach (Source tensor in tensors)
        {
            placed.Add(new PlacedTensor(tensor.Entry.Name, at, ByteCount(tensor), stream => WriteData(stream, tensor, options.Pool ?? own, options.Cancel)));
            at = Gguf.Align(at + ByteCount(tensor), alignment);
        }
        PlacedFile.Write(path, header, at, placed, options, tensor => options.Progress?.Report(new WriteProgress(tensor.Name, done += tensor.ByteCount, total)));
    }

    static byte[] Header(IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<Source> tensors, long alignment)
    {
        using MemoryStream header = new();
        using BinaryWriter writer = new(header, Encoding.UTF8);
        writer.Write(Gguf.Magic);
        writer.Write(Gguf.Version);
        writer.Write((long)tensors.Count);
        writer.Write((long)metadata.Count);
        foreach ((string key, object value) in metadata)
        {
            GgufValues.WriteString(writer, key);
            GgufValues.Write(writer, key, value);
        }
        long offset = 0;
        foreach (Source tensor in tensors)
        {
            GgufValues.WriteString(writer, tensor.Entry.Name);
            Shape shape = tensor.Entry.Shape;
            writer.Write((uint)shape.Rank);
            for (int axis = shape.Rank - 1; axis >= 0; axis--)
                writer.Write((long)shape[axis]);
            writer.Write(tensor.Type.Id);
            writer.Write(offset);
            offset = Gguf.Align(offset + ByteCount(tensor), alignment);
        }
        header.SetLength(Gguf.Align(header.Length, alignment));
        return header.ToArray();
    }

    static void WriteData(FileStream stream, Source tensor, WorkerPool pool, CancellationToken cancel)
    {
        Weight? weight = tensor.Entry.Weight is null ? null : DeferredWeight.Made(tensor.Entry.Weight);
        if (weight is BlockWeight blocks && blocks.Format == tensor.Type.Blocks)
        {
            // What is stored in the wanted blocks already.
            stream.Flush();
            int rowBytes = weight.Columns / blocks.Format.Size * blocks.Format.ByteCount;
            BandWriter.Rows<byte>(pool, stream.SafeFileHandle, stream.Position, weight.Rows, rowBytes, (first, _, rows) => blocks.ReadBytes(first, rows));
            stream.Seek(ByteCount(tensor), SeekOrigin.Current);
        }
        else if (weight is not null)
        {
            stream.Flush();
            StoredNumbers numbers = MatrixWriter.Write(pool, stream.SafeFileHandle, stream.Position, tensor.Entry.Name, weight, tensor.Type, cancel);
            stream.Seek(ByteCount(tensor), SeekOrigin.Current);
            tensor.Told?.Invoke(numbers);
        }
        else
            WriteNumbers(stream, tensor, tensor.Entry.Tensor!.Data);
    }

    static void WriteNumbers(Stream stream, Source tensor, ReadOnlySpan<float> values)
    {
        if (tensor.Type == GgmlType.F32)
            TensorSource.WriteFloats(stream, tensor.Entry.Name, DType.F32, values);
        else if (tensor.Type == GgmlType.F16)
            TensorSource.WriteFloats(stream, tensor.Entry.Name, DType.F16, values);
        else if (tensor.Type == GgmlType.BF16)
            TensorSource.WriteFloats(stream, tensor.Entry.Name, DType.BF16, values);
        else
            stream.Write(RoundedBlocks(tensor, tensor.Type.Blocks!, values));
    }

    static byte[] RoundedBlocks(Source tensor, BlockFormat format, ReadOnlySpan<float> values)
    {
        byte[] blocks = new byte[ByteCount(tensor)];
        float[] stored = new float[values.Length];
        format.Pack(values, blocks);
        format.Unpack(blocks, stored);
        if (HalfConversion.IndexOfNonFinite(stored) >= 0)
            throw new CoppiceException($"tensor '{tensor.Entry.Name}' holds numbers too large for {tensor.Type}, whose scale is a half; write it as F32 or BF16");
        return blocks;
    }

    static long ByteCount(Source tensor) => (long)tensor.Entry.Shape.Length / tensor.Type.BlockSize * tensor.Type.BlockBytes;

    static void Check(Source tensor)
    {
        string name = tensor.Entry.Name;
        if (!tensor.Type.IsReadable)
            throw new CoppiceException($"tensor '{name}': {tensor.Type} is not written; wanted one of {GgmlType.Readable}");
        if (tensor.Entry.Shape.Columns % tensor.Type.BlockSize != 0)
            throw new CoppiceException($"tensor '{name}' is {tensor.Entry.Shape}: rows of {tensor.Entry.Shape.Columns} numbers, wanted a multiple of {tensor.Type.BlockSize} for {tensor.Type}; write it as F16");
        if (Encoding.UTF8.GetByteCount(name) > MaxNameBytes)
            throw new CoppiceException($"tensor '{name}' has a name of more than {MaxNameBytes} bytes, which llama.cpp refuses");
    }
}

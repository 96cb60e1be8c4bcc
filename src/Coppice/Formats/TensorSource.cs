using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A tensor to be written to safetensors. Its bytes are made while the file is written, so a model never exists twice in memory.</summary>
/// <param name="Name">The name in the file.</param>
/// <param name="DType">How one number is stored.</param>
/// <param name="Shape">The sizes of the axes, outermost first.</param>
/// <param name="WriteTo">Writes exactly the tensor's little-endian bytes.</param>
public sealed record TensorSource(string Name, DType DType, ImmutableArray<long> Shape, Action<Stream> WriteTo)
{
    /// <summary>Bytes that <see cref="WriteTo"/> writes.</summary>
    public long ByteCount => Shape.Aggregate((long)DType.Size(), (product, size) => checked(product * size));

    /// <summary>Integers, or bits, as they lie in memory.</summary>
    public static TensorSource Raw<T>(string name, DType type, ImmutableArray<long> shape, T[] values) where T : unmanaged =>
        new(name, type, shape, stream => stream.Write(MemoryMarshal.AsBytes(values.AsSpan())));

    /// <summary>Integers, or bits, that are made when they are written and not kept.</summary>
    public static TensorSource Made<T>(string name, DType type, ImmutableArray<long> shape, Func<T[]> make) where T : unmanaged =>
        new(name, type, shape, stream => stream.Write(MemoryMarshal.AsBytes(make().AsSpan())));

    /// <summary>A float32 tensor, rounded to nearest even where <paramref name="type"/> (F32, F16, BF16, F8_E4M3, F8_E5M2) is narrower; in 8 bits, what is too large becomes the largest number.</summary>
    /// <exception cref="CoppiceException">While writing: a number that is finite in float32 is not in F16 or BF16.</exception>
    public static TensorSource Floats(string name, DType type, Tensor tensor) =>
        new(name, type, [.. tensor.Shape.Select(size => (long)size)], stream => WriteFloats(stream, name, type, tensor.Data));

    /// <summary>A matrix of any kind, its numbers rounded to nearest even where <paramref name="type"/> (F32, F16, BF16) is narrower. 16-bit numbers in their own type are copied.</summary>
    /// <exception cref="CoppiceException">While writing: a number that is finite in float32 is not in <paramref name="type"/>.</exception>
    public static TensorSource Dense(string name, DType type, Weight weight) => new(name, type, [weight.Rows, weight.Columns], stream =>
    {
        float[] row = new float[weight.Columns];
        for (int i = 0; i < weight.Rows; i++)
        {
            weight.Unpack(i, row);
            WriteFloats(stream, name, type, row);
        }
    });

    /// <summary>A matrix of 16 or 8 bits a number in its own type, anything else in <paramref name="dense"/>.</summary>
    /// <exception cref="CoppiceException">While writing: a number that is finite in float32 is not in <paramref name="dense"/>.</exception>
    public static TensorSource Plain(CheckpointEntry entry, DType dense) => entry.Weight switch
    {
        HalfWeight { Format: HalfFormat.Float16 } half => Dense(entry.Name, DType.F16, half),
        HalfWeight half => Dense(entry.Name, DType.BF16, half),
        Float8Weight { Scales.Length: 0 } narrow => Made(entry.Name, narrow.Format == Float8Format.E4M3 ? DType.F8_E4M3 : DType.F8_E5M2, [narrow.Rows, narrow.Columns], () => narrow.Bits.ToArray()),
        not null => Dense(entry.Name, dense, entry.Weight),
        null => Floats(entry.Name, dense, entry.Tensor!),
    };

    internal static void WriteFloats(Stream stream, string name, DType type, ReadOnlySpan<float> values)
    {
        if (type == DType.F32)
        {
            stream.Write(MemoryMarshal.AsBytes(values));
            return;
        }
        if (type is DType.F8_E4M3 or DType.F8_E5M2)
        {
            byte[] narrow = new byte[values.Length];
            Float8.FromSingle(type == DType.F8_E4M3 ? Float8Format.E4M3 : Float8Format.E5M2, values, narrow);
            stream.Write(narrow);
            return;
        }
        HalfFormat format = type switch
        {
            DType.F16 => HalfFormat.Float16,
            DType.BF16 => HalfFormat.BFloat16,
            _ => throw new ArgumentException($"TensorSource: float numbers as {type}, wanted F32, F16, BF16, F8_E4M3 or F8_E5M2"),
        };
        ushort[] bits = new ushort[values.Length];
        HalfConversion.FromSingle(format, values, bits);
        int wrong = HalfConversion.IndexOfNonFinite(format, bits);
        if (wrong >= 0 && float.IsFinite(values[wrong]))
            throw new CoppiceException($"tensor '{name}' holds {values[wrong]}, too large for {type}; write it as F32 or BF16");
        stream.Write(MemoryMarshal.AsBytes(bits.AsSpan()));
    }
}

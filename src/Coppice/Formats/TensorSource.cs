using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Formats;

/// <summary>A tensor to be written to safetensors. Its bytes are made while the file is written, so a model never exists twice in memory.</summary>
/// <param name="Name">The name in the file.</param>
/// <param name="DType">How one number is stored.</param>
/// <param name="Shape">The sizes of the axes, outermost first.</param>
/// <param name="WriteTo">Writes exactly the tensor's little-endian bytes.</param>
public sealed record TensorSource(string Name, DType DType, ImmutableArray<long> Shape, Action<Stream> WriteTo)
{
    const int CopyBytes = 1 << 20;

    // How the threads of a pool write it at a place of a file; null where one does.
    Action<WorkerPool, SafeFileHandle, long>? Place { get; init; }

    // Whether it is a matrix of plain numbers.
    bool IsMatrix { get; init; }

    /// <summary>Bytes that <see cref="WriteTo"/> writes.</summary>
    public long ByteCount => Shape.Aggregate((long)DType.Size(), (product, size) => checked(product * size));

    /// <summary>Integers, or bits, as they lie in memory.</summary>
    public static TensorSource Raw<T>(string name, DType type, ImmutableArray<long> shape, T[] values) where T : unmanaged =>
        new(name, type, shape, stream => stream.Write(MemoryMarshal.AsBytes(values.AsSpan())));

    /// <summary>Integers, or bits, that are made when they are written and not kept.</summary>
    public static TensorSource Made<T>(string name, DType type, ImmutableArray<long> shape, Func<T[]> make) where T : unmanaged =>
        new(name, type, shape, stream => stream.Write(MemoryMarshal.AsBytes(make().AsSpan())));

    /// <summary>Values [rows, row length], made a band of rows at a time.</summary>
    internal static TensorSource Rows<T>(string name, DType type, ImmutableArray<long> shape, int rows, FillBand<T> fill) where T : unmanaged
    {
        int length = rows == 0 ? 0 : (int)(shape.Aggregate(1L, (product, size) => product * size) / rows);
        return Made(name, type, shape, () =>
        {
            T[] all = new T[rows * length];
            fill(0, rows, all);
            return all;
        }) with
        { Place = (pool, file, begin) => BandWriter.Rows(pool, file, begin, rows, length, fill) };
    }

    /// <summary>Values [lines, width], made a band of columns at a time.</summary>
    internal static TensorSource Columns<T>(string name, DType type, int lines, int width, FillBand<T> fill) where T : unmanaged => Made(name, type, [lines, width], () =>
    {
        T[] all = new T[lines * width];
        fill(0, width, all);
        return all;
    }) with
    { Place = (pool, file, begin) => BandWriter.Columns(pool, file, begin, lines, width, fill) };

    /// <summary>A tensor of a container as it lies there.</summary>
    public static TensorSource Copy(TensorEntry entry) => new(entry.Name, entry.DType, entry.Shape, stream =>
    {
        byte[] buffer = new byte[(int)Math.Min(CopyBytes, entry.ByteCount)];
        for (long at = 0; at < entry.ByteCount; at += buffer.Length)
        {
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, entry.ByteCount - at));
            entry.ReadBytes(at, part);
            stream.Write(part);
        }
    });

    /// <summary>A float32 tensor, rounded to nearest even where <paramref name="type"/> (F32, F16, BF16, F8_E4M3, F8_E5M2) is narrower; in 8 bits, what is too large becomes the largest number.</summary>
    /// <exception cref="CoppiceException">While writing: a number that is finite in float32 is not in F16 or BF16.</exception>
    public static TensorSource Floats(string name, DType type, Tensor tensor) =>
        new(name, type, [.. tensor.Shape.Select(size => (long)size)], stream => WriteFloats(stream, name, type, tensor.Data));

    /// <summary>Float32 numbers, row-major, as they lie in memory while it is written.</summary>
    internal static TensorSource Floats(string name, Shape shape, ReadOnlyMemory<float> values) =>
        new(name, DType.F32, [.. shape.Select(size => (long)size)], stream => stream.Write(MemoryMarshal.AsBytes(values.Span)));

    /// <summary>A matrix of any kind, its numbers rounded to nearest even where <paramref name="type"/> (F32, F16, BF16) is narrower. 16-bit numbers in their own type are copied.</summary>
    /// <exception cref="CoppiceException">While writing: a number that is finite in float32 is not in <paramref name="type"/>.</exception>
    public static TensorSource Dense(string name, DType type, Weight weight) => new(name, type, [weight.Rows, weight.Columns], stream =>
    {
        Weight made = DeferredWeight.Made(weight);
        float[] row = new float[made.Columns];
        for (int i = 0; i < made.Rows; i++)
        {
            made.Unpack(i, row);
            WriteFloats(stream, name, type, row);
        }
    })
    {
        IsMatrix = true,
        Place = type switch { DType.F32 => GgmlType.F32, DType.F16 => GgmlType.F16, DType.BF16 => GgmlType.BF16, _ => null } is not { } stored ? null
            : (pool, file, begin) => MatrixWriter.Write(pool, file, begin, name, DeferredWeight.Made(weight), stored),
    };

    /// <summary>What a matrix is stored in. The parts of one that lies in a file are made to be looked at, and again when they are written.</summary>
    /// <param name="weight">The matrix.</param>
    /// <param name="parts">Its parts, in the same order every time.</param>
    internal static IEnumerable<TensorSource> Parts(Weight weight, Func<Weight, IEnumerable<TensorSource>> parts) => weight is not DeferredWeight deferred
        ? parts(weight)
        : [.. parts(deferred.Make()).Select((part, i) => new TensorSource(part.Name, part.DType, part.Shape, stream => parts(deferred.Make()).ElementAt(i).WriteTo(stream))
        {
            Place = part.Place is null ? null : (pool, file, begin) => parts(deferred.Make()).ElementAt(i).Place!(pool, file, begin),
        })];

    /// <summary>Writes the bytes where a file stands, what falls into bands by all threads of a pool.</summary>
    internal void Write(FileStream stream, WorkerPool pool)
    {
        if (Place is null)
        {
            WriteTo(stream);
            return;
        }
        stream.Flush();
        Place(pool, stream.SafeFileHandle, stream.Position);
        stream.Seek(ByteCount, SeekOrigin.Current);
    }

    /// <summary>A matrix of 16 or 8 bits a number in its own type, anything else in <paramref name="dense"/>.</summary>
    /// <exception cref="CoppiceException">While writing: a number that is finite in float32 is not in <paramref name="dense"/>.</exception>
    public static TensorSource Plain(CheckpointEntry entry, DType dense) => entry.Weight switch
    {
        DeferredWeight deferred => Plain(entry, deferred, dense),
        HalfWeight { Format: HalfFormat.Float16 } or StoredWeight { Format: HalfFormat.Float16 } or SpreadWeight { Format: HalfFormat.Float16 } => Dense(entry.Name, DType.F16, entry.Weight),
        HalfWeight or StoredWeight { Format: HalfFormat.BFloat16 } or SpreadWeight { Format: HalfFormat.BFloat16 } => Dense(entry.Name, DType.BF16, entry.Weight),
        Float8Weight { Scales.Length: 0 } narrow => Made(entry.Name, narrow.Format == Float8Format.E4M3 ? DType.F8_E4M3 : DType.F8_E5M2, [narrow.Rows, narrow.Columns], () => narrow.Bits.ToArray()),
        not null => Dense(entry.Name, dense, entry.Weight),
        null => Floats(entry.Name, dense, entry.Tensor!),
    };

    static TensorSource Plain(CheckpointEntry entry, DeferredWeight deferred, DType dense)
    {
        TensorSource now = Plain(new CheckpointEntry(entry.Name, deferred.Make()), dense);
        return now.IsMatrix ? Dense(entry.Name, now.DType, deferred) : Parts(deferred, weight => [Plain(new CheckpointEntry(entry.Name, weight), dense)]).Single();
    }

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

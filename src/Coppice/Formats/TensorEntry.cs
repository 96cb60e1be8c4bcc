using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>One tensor of a container: where it lies and what it is. Its numbers are read on demand.</summary>
public sealed class TensorEntry
{
    readonly BinaryFile file;
    readonly long begin;
    readonly StridedLayout? layout;

    // Numbers lie one after the other unless a layout says otherwise.
    internal TensorEntry(BinaryFile file, string name, DType type, ImmutableArray<long> shape, long begin, long byteCount, StridedLayout? layout = null)
    {
        this.file = file;
        this.begin = begin;
        this.layout = layout;
        (Name, DType, Shape, ByteCount) = (name, type, shape, byteCount);
    }

    /// <summary>The name in the file.</summary>
    public string Name { get; }

    /// <summary>How one number is stored.</summary>
    public DType DType { get; }

    /// <summary>The sizes of the axes, outermost first; none for a single number.</summary>
    public ImmutableArray<long> Shape { get; }

    /// <summary>Stored bytes.</summary>
    public long ByteCount { get; }

    /// <summary>How many numbers.</summary>
    public long Count => ByteCount / DType.Size();

    /// <summary>Raw little-endian bytes from byte <paramref name="offset"/> of the tensor on.</summary>
    public void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{Name}: {destination.Length} bytes at {offset} of {ByteCount}");
        if (layout is null)
        {
            file.Read(begin + offset, destination, $"tensor '{Name}'");
            return;
        }
        if (offset % layout.NumberBytes != 0 || destination.Length % layout.NumberBytes != 0)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{Name}: {destination.Length} bytes at {offset}, wanted whole numbers of {layout.NumberBytes}");
        if (layout.SpanBytes > Array.MaxLength)
            throw Error($"is spread over {layout.SpanBytes:N0} bytes, more than the {Array.MaxLength:N0} that can be put in order");
        ReadOnlyMemory<byte> stored = file.View<byte>(begin, (int)layout.SpanBytes, $"tensor '{Name}'");
        layout.Gather(stored.Span, offset / layout.NumberBytes, destination);
        GC.KeepAlive(stored);
    }

    /// <summary>Whether another tensor has the same bytes.</summary>
    public bool HasBytesOf(TensorEntry other)
    {
        const int PartBytes = 1 << 20;
        if (other.ByteCount != ByteCount)
            return false;
        int size = (int)Math.Min(PartBytes, ByteCount);
        byte[] ours = new byte[size], theirs = new byte[size];
        for (long at = 0; at < ByteCount; at += size)
        {
            int count = (int)Math.Min(size, ByteCount - at);
            ReadBytes(at, ours.AsSpan(0, count));
            other.ReadBytes(at, theirs.AsSpan(0, count));
            if (!ours.AsSpan(0, count).SequenceEqual(theirs.AsSpan(0, count)))
                return false;
        }
        return true;
    }

    /// <summary>Numbers from the <paramref name="first"/> on, as float32. F64 is rounded to nearest.</summary>
    /// <exception cref="CoppiceException">The tensor holds no floating-point numbers that we read.</exception>
    public void ReadFloats(long first, Span<float> destination)
    {
        if (DType is not (DType.F32 or DType.F64 or DType.F16 or DType.BF16 or DType.F8_E4M3 or DType.F8_E5M2))
            throw Error($"is {DType}, wanted F32, F16, BF16, F64, F8_E4M3 or F8_E5M2");
        if (DType == DType.F32)
        {
            ReadBytes(4 * first, MemoryMarshal.AsBytes(destination));
            return;
        }
        int size = DType.Size();
        Span<byte> buffer = new byte[Math.Min(1 << 16, destination.Length * size)];
        while (destination.Length > 0)
        {
            int count = Math.Min(buffer.Length / size, destination.Length);
            Span<byte> bytes = buffer[..(count * size)];
            ReadBytes(first * size, bytes);
            if (DType == DType.F64)
                for (int i = 0; i < count; i++)
                    destination[i] = (float)MemoryMarshal.Cast<byte, double>(bytes)[i];
            else if (size == 1)
                Weights.Float8.ToSingle(Float8, bytes, destination);
            else
                HalfConversion.ToSingle(Half, MemoryMarshal.Cast<byte, ushort>(bytes), destination);
            first += count;
            destination = destination[count..];
        }
    }

    /// <summary>The same of numbers that all have to be finite.</summary>
    internal void ReadFinite(long first, Span<float> destination)
    {
        ReadFloats(first, destination);
        int wrong = HalfConversion.IndexOfNonFinite(destination);
        if (wrong >= 0)
            throw NotFinite(first + wrong);
    }

    /// <summary>All bytes as values of another type, mapped where they lie in order in the file, as long as they fit one array.</summary>
    internal ReadOnlyMemory<T> View<T>() where T : unmanaged
    {
        if (ByteCount > Array.MaxLength || ByteCount % Unsafe.SizeOf<T>() != 0)
            throw Error($"has {ByteCount:N0} bytes, wanted whole values of {Unsafe.SizeOf<T>()} bytes and at most {Array.MaxLength:N0}");
        if (layout is not null)
        {
            T[] ordered = new T[ByteCount / Unsafe.SizeOf<T>()];
            ReadBytes(0, MemoryMarshal.AsBytes(ordered.AsSpan()));
            return ordered;
        }
        return file.View<T>(begin, (int)(ByteCount / Unsafe.SizeOf<T>()), $"tensor '{Name}'");
    }

    /// <summary>The same in rows, read each time they are asked for.</summary>
    internal ReadOnlyMemory<T> Defer<T>(int rows, int rowLength) where T : unmanaged => new DeferredMemory<T>(rows, rowLength, (firstRow, values) =>
        ReadBytes((long)firstRow * rowLength * Unsafe.SizeOf<T>(), MemoryMarshal.AsBytes(values))).Memory;

    /// <summary>Of values [lines, <paramref name="width"/>] those of <paramref name="count"/> columns from <paramref name="first"/> on, [lines, <paramref name="count"/>].</summary>
    internal void ReadColumns<T>(int width, int first, int count, Span<T> values) where T : unmanaged
    {
        long size = Unsafe.SizeOf<T>();
        for (long line = 0; values.Length > 0; line++, values = values[count..])
            ReadBytes((line * width + first) * size, MemoryMarshal.AsBytes(values[..count]));
    }

    /// <summary>All raw bytes.</summary>
    public byte[] ToBytes()
    {
        if (ByteCount > Array.MaxLength)
            throw Error($"has {ByteCount:N0} bytes, more than the {Array.MaxLength:N0} that fit one array");
        byte[] bytes = new byte[ByteCount];
        ReadBytes(0, bytes);
        return bytes;
    }

    /// <summary>All numbers as integers, from any integer type of at most 32 bits, or I64 whose values fit.</summary>
    public int[] ToInts()
    {
        byte[] bytes = ToBytes();
        int[] ints = new int[Count];
        for (int i = 0; i < ints.Length; i++)
            ints[i] = DType switch
            {
                DType.I32 => MemoryMarshal.Cast<byte, int>(bytes)[i],
                DType.I64 when MemoryMarshal.Cast<byte, long>(bytes)[i] is >= int.MinValue and <= int.MaxValue and var value => (int)value,
                DType.I16 => MemoryMarshal.Cast<byte, short>(bytes)[i],
                DType.I8 => (sbyte)bytes[i],
                DType.U8 or DType.BOOL => bytes[i],
                _ => throw Error($"is {DType}, wanted integers of at most 32 bits"),
            };
        return ints;
    }

    /// <summary>The matrix as it is stored: F32 and F64 become a <see cref="DenseWeight"/>, F16 and BF16 a <see cref="HalfWeight"/>, F8_E4M3 and F8_E5M2 a <see cref="Float8Weight"/>.</summary>
    public Weight ReadWeight()
    {
        if (Shape.Length != 2)
            throw Error($"is {Describe(Shape)}, wanted a matrix");
        if (DType is DType.F8_E4M3 or DType.F8_E5M2)
            return ReadFloat8([]);
        if (DType is not (DType.F16 or DType.BF16))
            return new DenseWeight(ReadTensor());
        CheckLength();
        ReadOnlyMemory<ushort> bits = View<ushort>();
        int wrong = FileRun.IndexOf<ushort>(bits, piece => HalfConversion.IndexOfNonFinite(Half, piece));
        return wrong < 0 ? new HalfWeight(Half, (int)Shape[0], (int)Shape[1], bits) : throw NotFinite(wrong);
    }

    /// <summary>The matrix of 8-bit numbers with scales [rows], [1] or none, mapped where it lies.</summary>
    internal Float8Weight ReadFloat8(float[] scales)
    {
        CheckLength();
        ReadOnlyMemory<byte> bits = View<byte>();
        int wrong = FileRun.IndexOf<byte>(bits, piece => Weights.Float8.IndexOfNonFinite(Float8, piece));
        return wrong < 0 ? new Float8Weight(Float8, (int)Shape[0], (int)Shape[1], bits, scales) : throw NotFinite(wrong);
    }

    /// <summary>The matrix left in its file.</summary>
    public Weight OpenWeight()
    {
        if (Shape.Length != 2)
            return ReadWeight();
        CheckLength();
        if (layout is not null || DType is not (DType.F32 or DType.F16 or DType.BF16))
            return new DeferredWeight((int)Shape[0], (int)Shape[1], ReadWeight);
        return new StoredWeight(file, Name, begin, DType == DType.F32 ? null : Half, (int)Shape[0], (int)Shape[1]);
    }

    /// <summary>The numbers as float32; a tensor of no axes becomes one of one number.</summary>
    public Tensor ReadTensor()
    {
        CheckLength();
        Tensor tensor = new(Shape.Length switch
        {
            0 => [1],
            1 => [(int)Shape[0]],
            2 => [(int)Shape[0], (int)Shape[1]],
            3 => [(int)Shape[0], (int)Shape[1], (int)Shape[2]],
            4 => [(int)Shape[0], (int)Shape[1], (int)Shape[2], (int)Shape[3]],
            _ => throw Error($"has {Shape.Length} axes, wanted at most 4"),
        });
        ReadFinite(0, tensor.Data);
        return tensor;
    }

    Float8Format Float8 => DType == DType.F8_E4M3 ? Float8Format.E4M3 : Float8Format.E5M2;

    HalfFormat Half => DType == DType.F16 ? HalfFormat.Float16 : HalfFormat.BFloat16;

    /// <summary>A failure that names the file and this tensor.</summary>
    internal CoppiceException Error(string message) => file.Error($"tensor '{Name}' {message}");

    CoppiceException NotFinite(long index) => Error($"holds a number that is not finite at {index:N0} of {Count:N0}; the model is damaged");

    // An axis may be as long as it likes beside one of 0, so each is checked as well as their product.
    void CheckLength()
    {
        if (Count > Array.MaxLength || Shape.Any(size => size > Array.MaxLength))
            throw Error($"is {Describe(Shape)}, more than the {Array.MaxLength:N0} numbers that fit one tensor");
    }

    internal static string Describe(ImmutableArray<long> shape) => $"[{string.Join(", ", shape)}]";
}

using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Tensors;

/// <summary>
/// Keys and values of one block of a model for up to <see cref="Capacity"/> tokens, laid out as the kernels of <see cref="Simd.CachedAttention"/>
/// read them: for each head, keys in panels of 16 tokens [tokens / 16][width][16], values in panels of 16 numbers [width / 16][tokens][16].
/// </summary>
internal sealed unsafe class KeyValueBlock
{
    /// <summary>Tokens, or numbers of a head, that lie side by side.</summary>
    public const int Panel = 16;

    /// <summary>Room is taken in whole runs of this many tokens: four vectors of the widest kind.</summary>
    const int Unit = 64;

    readonly byte[] keys, values;
    readonly float[] keyScales, valueScales;

    /// <summary>Room for <paramref name="capacity"/> tokens of <paramref name="heads"/> heads of <paramref name="width"/> numbers; memory that is never written to is never touched.</summary>
    /// <exception cref="CoppiceException">It would be more than one array can hold.</exception>
    public KeyValueBlock(KeyValueFormat format, int heads, int width, int capacity)
    {
        (Format, Heads, Width, Capacity) = (format, heads, width, Padded(capacity, Unit));
        long keyBytes = (long)heads * Capacity * width * NumberBytes, valueBytes = (long)heads * Capacity * Padded(width, Panel) * NumberBytes;
        if (valueBytes > Array.MaxLength)
            throw new CoppiceException($"KV cache: {capacity:N0} tokens of {heads} heads of {width} numbers are {valueBytes:N0} bytes a block, more than the {Array.MaxLength:N0} of one array; ask for a shorter context");
        keys = GC.AllocateUninitializedArray<byte>((int)keyBytes, pinned: true);
        values = GC.AllocateUninitializedArray<byte>((int)valueBytes, pinned: true);
        int scales = format == KeyValueFormat.Int8 ? heads * Capacity : 0;
        (keyScales, valueScales) = (GC.AllocateUninitializedArray<float>(scales, pinned: true), GC.AllocateUninitializedArray<float>(scales, pinned: true));
    }

    public KeyValueFormat Format { get; }

    /// <summary>Key and value heads.</summary>
    public int Heads { get; }

    /// <summary>Numbers in a head.</summary>
    public int Width { get; }

    /// <summary>The most tokens, a multiple of 64.</summary>
    public int Capacity { get; }

    /// <summary>Bytes of one number.</summary>
    public int NumberBytes => BytesOf(Format);

    /// <summary>Bytes that keys and values of one token take, scales included.</summary>
    public static long BytesPerToken(KeyValueFormat format, int heads, int width) => 2L * heads * (width * BytesOf(format) + (format == KeyValueFormat.Int8 ? sizeof(float) : 0));

    /// <summary>The first key panel of a head. The array is pinned; whoever uses the pointer keeps this object alive.</summary>
    public byte* Keys(int head) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(keys)) + (nint)head * Capacity * Width * NumberBytes;

    /// <summary>The first value panel of a head; panels are <see cref="ValuePanelBytes"/> apart.</summary>
    public byte* Values(int head) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(values)) + (nint)head * Padded(Width, Panel) * Capacity * NumberBytes;

    /// <summary>Bytes from one value panel to the next.</summary>
    public nint ValuePanelBytes => (nint)Capacity * Panel * NumberBytes;

    /// <summary>Scales of a head's keys, by token; only for <see cref="KeyValueFormat.Int8"/>.</summary>
    public float* KeyScales(int head) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(keyScales)) + (nint)head * Capacity;

    /// <summary>Scales of a head's values, by token; only for <see cref="KeyValueFormat.Int8"/>.</summary>
    public float* ValueScales(int head) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(valueScales)) + (nint)head * Capacity;

    /// <summary>Writes keys and values [tokens, heads * width] from token <paramref name="at"/> on, rounding to nearest; a half's overflow becomes 65536.</summary>
    public void Write(int at, ReadOnlySpan<float> k, ReadOnlySpan<float> v)
    {
        int tokens = k.Length / (Heads * Width);
        if (k.Length != v.Length || tokens * Heads * Width != k.Length || at < 0 || tokens > Capacity - at)
            throw new ArgumentException($"KV cache: {k.Length} keys and {v.Length} values of {Heads} heads of {Width} at token {at} of {Capacity}");
        for (int token = 0; token < tokens; token++)
            for (int head = 0; head < Heads; head++)
            {
                int from = (token * Heads + head) * Width;
                Write(head, at + token, k.Slice(from, Width), v.Slice(from, Width));
            }
    }

    /// <summary>Takes over the first <paramref name="tokens"/> of another block of the same sizes.</summary>
    public void CopyFrom(KeyValueBlock other, int tokens)
    {
        if ((other.Format, other.Heads, other.Width, other.Capacity) != (Format, Heads, Width, Capacity) || (uint)tokens > (uint)Capacity)
            throw new ArgumentException($"KV cache: {tokens} tokens of {other.Heads} heads of {other.Width} as {other.Format} for {Heads} heads of {Width} as {Format}");
        int keyBytes = Padded(tokens, Panel) * Width * NumberBytes, valueBytes = tokens * Panel * NumberBytes;
        for (int head = 0; head < Heads; head++)
        {
            new ReadOnlySpan<byte>(other.Keys(head), keyBytes).CopyTo(new Span<byte>(Keys(head), keyBytes));
            for (int panel = 0; panel < Padded(Width, Panel) / Panel; panel++)
                new ReadOnlySpan<byte>(other.Values(head) + panel * ValuePanelBytes, valueBytes).CopyTo(new Span<byte>(Values(head) + panel * ValuePanelBytes, valueBytes));
            if (Format != KeyValueFormat.Int8)
                continue;
            new ReadOnlySpan<float>(other.KeyScales(head), tokens).CopyTo(new Span<float>(KeyScales(head), tokens));
            new ReadOnlySpan<float>(other.ValueScales(head), tokens).CopyTo(new Span<float>(ValueScales(head), tokens));
        }
        GC.KeepAlive(other);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Write(int head, int token, ReadOnlySpan<float> k, ReadOnlySpan<float> v)
    {
        byte* key = Keys(head) + ((nint)(token / Panel) * Panel * Width + token % Panel) * NumberBytes, value = Values(head) + (nint)token * Panel * NumberBytes;
        switch (Format)
        {
            case KeyValueFormat.Float32:
                Scatter(k, v, (float*)key, (float*)value);
                break;
            case KeyValueFormat.Float16:
                Span<Half> halves = stackalloc Half[2 * MostStacked];
                for (int i = 0; i < Width; i += MostStacked)
                {
                    int count = Math.Min(MostStacked, Width - i);
                    TensorPrimitives.ConvertToHalf(k.Slice(i, count), halves);
                    TensorPrimitives.ConvertToHalf(v.Slice(i, count), halves[MostStacked..]);
                    Scatter(halves[..count], halves.Slice(MostStacked, count), (Half*)key + (nint)i * Panel, (Half*)(value + i / Panel * ValuePanelBytes));
                }
                break;
            default:
                Span<sbyte> codes = stackalloc sbyte[2 * MostStacked];
                KeyScales(head)[token] = Scale(k, out float keyFactor);
                ValueScales(head)[token] = Scale(v, out float valueFactor);
                for (int i = 0; i < Width; i += MostStacked)
                {
                    int count = Math.Min(MostStacked, Width - i);
                    Round(k.Slice(i, count), keyFactor, codes);
                    Round(v.Slice(i, count), valueFactor, codes[MostStacked..]);
                    Scatter<sbyte>(codes[..count], codes.Slice(MostStacked, count), (sbyte*)key + (nint)i * Panel, (sbyte*)(value + i / Panel * ValuePanelBytes));
                }
                break;
        }
    }

    // A whole number of panels.
    const int MostStacked = 256;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Scatter<T>(ReadOnlySpan<T> k, ReadOnlySpan<T> v, T* key, T* value) where T : unmanaged
    {
        nint panel = (nint)Capacity * Panel;
        for (int i = 0; i < k.Length; i++)
            key[(nint)i * Panel] = k[i];
        for (int i = 0; i < v.Length; i += Panel)
        {
            ReadOnlySpan<T> run = v.Slice(i, Math.Min(Panel, v.Length - i));
            Span<T> to = new(value + i / Panel * panel, Panel);
            run.CopyTo(to);
            to[run.Length..].Clear();
        }
    }

    // scale = max |x| / 127; all zeros take the scale 0. What is not a number makes the scale so.
    static float Scale(ReadOnlySpan<float> values, out float factor)
    {
        float scale = TensorPrimitives.MaxMagnitude(values);
        scale = Math.Abs(scale) / 127;
        factor = scale > 0 ? 1 / scale : 0;
        // A scale too small to have a reciprocal stands for zeros.
        if (float.IsInfinity(factor))
            (scale, factor) = (0, 0);
        return scale;
    }

    static void Round(ReadOnlySpan<float> values, float factor, Span<sbyte> codes)
    {
        for (int i = 0; i < values.Length; i++)
            codes[i] = (sbyte)Math.Clamp(MathF.Round(values[i] * factor), -127, 127);
    }

    static int BytesOf(KeyValueFormat format) => format switch { KeyValueFormat.Float32 => 4, KeyValueFormat.Float16 => 2, _ => 1 };

    static int Padded(int count, int unit) => checked((count + unit - 1) / unit * unit);
}

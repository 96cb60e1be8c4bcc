using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>
/// Keys and values of one block of a model for up to <see cref="Capacity"/> tokens, laid out as the kernels of <see cref="CachedAttention"/>
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
    int newestGroup;

    /// <summary>Room for <paramref name="capacity"/> tokens of <paramref name="heads"/> heads of <paramref name="width"/> numbers; memory that is never written to is never touched.</summary>
    /// <exception cref="CoppiceException">It would be more than one array can hold.</exception>
    public KeyValueBlock(KeyValueFormat format, int heads, int width, int capacity)
    {
        (Format, Heads, Width, Capacity) = (format, heads, width, Padded(capacity, Unit));
        long keyBytes = (long)heads * (Capacity / Panel) * width * RowBytes, valueBytes = (long)heads * (Padded(width, Panel) / Panel) * Capacity * RowBytes;
        if (valueBytes > Array.MaxLength)
            throw new CoppiceException($"KV cache: {capacity:N0} tokens of {heads} heads of {width} numbers are {valueBytes:N0} bytes a block, more than the {Array.MaxLength:N0} of one array; ask for a shorter context");
        keys = GC.AllocateUninitializedArray<byte>((int)keyBytes, pinned: true);
        values = GC.AllocateUninitializedArray<byte>((int)valueBytes, pinned: true);
        int scales = IsScaled ? heads * Capacity : 0;
        if (format == KeyValueFormat.Int4)
            Groups = new KeyValueGroups(heads, width, Capacity);
        (keyScales, valueScales) = (GC.AllocateUninitializedArray<float>(scales, pinned: true), GC.AllocateUninitializedArray<float>(scales, pinned: true));
    }

    public KeyValueFormat Format { get; }

    /// <summary>Key and value heads.</summary>
    public int Heads { get; }

    /// <summary>Numbers in a head.</summary>
    public int Width { get; }

    /// <summary>The most tokens, a multiple of 64.</summary>
    public int Capacity { get; }

    /// <summary>Bytes of the 16 numbers that lie side by side.</summary>
    public int RowBytes => RowBytesOf(Format);

    /// <summary>Whether scores and weights take a scale for each token and head.</summary>
    public bool IsScaled => Format is KeyValueFormat.Int8 or KeyValueFormat.Int4Token;

    /// <summary>Scales, zero points and newest tokens of <see cref="KeyValueFormat.Int4"/>; null otherwise.</summary>
    public KeyValueGroups? Groups { get; }

    /// <summary>Bytes that keys and values of one token take, scales included, without <see cref="KeyValueGroups.ResidualBytes"/>.</summary>
    public static long BytesPerToken(KeyValueFormat format, int heads, int width)
    {
        long codes = 2L * heads * width * RowBytesOf(format) / Panel;
        return codes + format switch
        {
            KeyValueFormat.Int8 or KeyValueFormat.Int4Token => 2L * heads * sizeof(float),
            KeyValueFormat.Int4 => heads * KeyValueGroups.BytesPerToken(width),
            _ => 0,
        };
    }

    /// <summary>Bytes that a block takes however few its tokens are.</summary>
    public static long FixedBytes(KeyValueFormat format, int heads, int width) => format == KeyValueFormat.Int4 ? KeyValueGroups.ResidualBytes(heads, width) : 0;

    /// <summary>The first key panel of a head. The array is pinned; whoever uses the pointer keeps this object alive.</summary>
    public byte* Keys(int head) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(keys)) + (nint)head * (Capacity / Panel) * Width * RowBytes;

    /// <summary>The first value panel of a head; panels are <see cref="ValuePanelBytes"/> apart.</summary>
    public byte* Values(int head) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(values)) + (nint)head * (Padded(Width, Panel) / Panel) * ValuePanelBytes;

    /// <summary>Bytes from one value panel to the next.</summary>
    public nint ValuePanelBytes => (nint)Capacity * RowBytes;

    /// <summary>Scales of a head's keys, by token; only where <see cref="IsScaled"/>.</summary>
    public float* KeyScales(int head) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(keyScales)) + (nint)head * Capacity;

    /// <summary>Scales of a head's values, by token; only where <see cref="IsScaled"/>.</summary>
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
        newestGroup = (at + tokens - 1) / KeyValueGroups.Tokens;
    }

    /// <summary>The most tokens, up to <paramref name="length"/> of those held, behind which others can be written as if none had followed: a group is rounded from its halves.</summary>
    public int Reachable(int length) => Groups is null || length / KeyValueGroups.Tokens == newestGroup ? length : length / KeyValueGroups.Tokens * KeyValueGroups.Tokens;

    /// <summary>Takes over the first <paramref name="tokens"/> of another block of the same sizes.</summary>
    public void CopyFrom(KeyValueBlock other, int tokens)
    {
        if ((other.Format, other.Heads, other.Width, other.Capacity) != (Format, Heads, Width, Capacity) || (uint)tokens > (uint)Capacity)
            throw new ArgumentException($"KV cache: {tokens} tokens of {other.Heads} heads of {other.Width} as {other.Format} for {Heads} heads of {Width} as {Format}");
        int keyBytes = Padded(tokens, Panel) / Panel * Width * RowBytes, valueBytes = tokens * RowBytes;
        for (int head = 0; head < Heads; head++)
        {
            new ReadOnlySpan<byte>(other.Keys(head), keyBytes).CopyTo(new Span<byte>(Keys(head), keyBytes));
            for (int panel = 0; panel < Padded(Width, Panel) / Panel; panel++)
                new ReadOnlySpan<byte>(other.Values(head) + panel * ValuePanelBytes, valueBytes).CopyTo(new Span<byte>(Values(head) + panel * ValuePanelBytes, valueBytes));
            if (!IsScaled)
                continue;
            new ReadOnlySpan<float>(other.KeyScales(head), tokens).CopyTo(new Span<float>(KeyScales(head), tokens));
            new ReadOnlySpan<float>(other.ValueScales(head), tokens).CopyTo(new Span<float>(ValueScales(head), tokens));
        }
        Groups?.CopyFrom(other.Groups!, tokens);
        newestGroup = other.newestGroup;
        GC.KeepAlive(other);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Write(int head, int token, ReadOnlySpan<float> k, ReadOnlySpan<float> v)
    {
        byte* key = Keys(head) + (nint)(token / Panel) * Width * RowBytes + token % Panel * RowBytes / Panel, value = Values(head) + (nint)token * RowBytes;
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
            case KeyValueFormat.Int4:
                Groups!.Residual.Write(head, token % KeyValueGroups.Tokens, k, v);
                if (token % KeyValueGroups.Tokens == KeyValueGroups.Tokens - 1)
                    Groups.Seal(this, head, token / KeyValueGroups.Tokens);
                break;
            default:
                Span<sbyte> codes = stackalloc sbyte[2 * MostStacked];
                int most = Format == KeyValueFormat.Int8 ? 127 : 7;
                KeyScales(head)[token] = Scale(k, most, out float keyFactor);
                ValueScales(head)[token] = Scale(v, most, out float valueFactor);
                for (int i = 0; i < Width; i += MostStacked)
                {
                    int count = Math.Min(MostStacked, Width - i);
                    Round(k.Slice(i, count), keyFactor, most, codes);
                    Round(v.Slice(i, count), valueFactor, most, codes[MostStacked..]);
                    if (Format == KeyValueFormat.Int8)
                        Scatter<sbyte>(codes[..count], codes.Slice(MostStacked, count), (sbyte*)key + (nint)i * Panel, (sbyte*)(value + i / Panel * ValuePanelBytes));
                    else
                        ScatterNibbles(codes[..count], codes.Slice(MostStacked, count), Keys(head) + ((nint)(token / Panel) * Width + i) * RowBytes, token % Panel, value + i / Panel * ValuePanelBytes);
                }
                break;
        }
    }

    // A key's codes go one to a row, a value's fill rows of their own.
    void ScatterNibbles(ReadOnlySpan<sbyte> k, ReadOnlySpan<sbyte> v, byte* keyRows, int column, byte* value)
    {
        for (int i = 0; i < k.Length; i++)
            Int4Rows.Set(keyRows + (nint)i * Int4Rows.RowBytes, column, k[i] + Int4Rows.Middle);
        for (int i = 0; i < v.Length; i++)
            Int4Rows.Set(value + i / Panel * ValuePanelBytes, i % Panel, v[i] + Int4Rows.Middle);
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

    // scale = max |x| / most; all zeros take the scale 0. What is not a number makes the scale so.
    static float Scale(ReadOnlySpan<float> values, int most, out float factor)
    {
        float scale = TensorPrimitives.MaxMagnitude(values);
        scale = Math.Abs(scale) / most;
        factor = scale > 0 ? 1 / scale : 0;
        // A scale too small to have a reciprocal stands for zeros.
        if (float.IsInfinity(factor))
            (scale, factor) = (0, 0);
        return scale;
    }

    static void Round(ReadOnlySpan<float> values, float factor, int most, Span<sbyte> codes)
    {
        for (int i = 0; i < values.Length; i++)
            codes[i] = (sbyte)Math.Clamp(MathF.Round(values[i] * factor), -most, most);
    }

    static int RowBytesOf(KeyValueFormat format) => Panel * format switch { KeyValueFormat.Float32 => 32, KeyValueFormat.Float16 => 16, KeyValueFormat.Int8 => 8, _ => 4 } / 8;

    static int Padded(int count, int unit) => checked((count + unit - 1) / unit * unit);
}

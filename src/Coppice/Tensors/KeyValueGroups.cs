using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>
/// What a cache of 4 bits keeps beside its codes (KIVI, Liu et al. 2024): a scale and a zero point for 32 tokens of a channel of the keys and for 32 numbers of a
/// token of the values, both as halves, and the newest group of tokens unrounded. x = zero + scale code, zero the smallest of the group, scale a 15th of its range.
/// </summary>
internal sealed unsafe class KeyValueGroups
{
    /// <summary>Tokens of a channel of the keys, or numbers of a token's values, that share a scale: two panels.</summary>
    public const int Tokens = 2 * KeyValueBlock.Panel;

    // Kernels read whole vectors.
    const int Slack = KeyValueBlock.Panel;

    readonly int width, capacity;
    readonly Half[] keys, values;

    public KeyValueGroups(int heads, int width, int capacity)
    {
        (this.width, this.capacity) = (width, capacity);
        keys = GC.AllocateUninitializedArray<Half>(checked(2 * heads * capacity / Tokens * width + Slack), pinned: true);
        values = GC.AllocateUninitializedArray<Half>(checked(2 * heads * ValueGroups * capacity + Slack), pinned: true);
        Residual = new KeyValueBlock(KeyValueFormat.Float16, heads, width, Tokens);
    }

    /// <summary>The newest group of tokens, whole or not, as halves.</summary>
    public KeyValueBlock Residual { get; }

    int ValueGroups => (width + Tokens - 1) / Tokens;

    /// <summary>Bytes of one token's scales and zero points of a head.</summary>
    public static long BytesPerToken(int width) => 2L * sizeof(ushort) * ((width + Tokens - 1) / Tokens) + 2L * sizeof(ushort) * width / Tokens;

    /// <summary>Bytes of the newest group.</summary>
    public static long ResidualBytes(int heads, int width) => Tokens * KeyValueBlock.BytesPerToken(KeyValueFormat.Float16, heads, width);

    /// <summary>Scales [width] of a head's keys of one group of tokens; zero points lie <see cref="width"/> behind.</summary>
    public Half* KeyScales(int head, int group) => Start(keys) + 2 * ((nint)head * (capacity / Tokens) + group) * width;

    public Half* KeyZeros(int head, int group) => KeyScales(head, group) + width;

    /// <summary>Scales [capacity] of a head's values of one group of numbers, by token; zero points lie <see cref="capacity"/> behind.</summary>
    public Half* ValueScales(int head, int group) => Start(values) + 2 * ((nint)head * ValueGroups + group) * capacity;

    public Half* ValueZeros(int head, int group) => ValueScales(head, group) + capacity;

    /// <summary>Rounds the newest group, which is whole, into the codes of <paramref name="block"/>.</summary>
    public void Seal(KeyValueBlock block, int head, int group)
    {
        Half* from = (Half*)Residual.Keys(head);
        byte* to = block.Keys(head) + (nint)group * 2 * width * Int4Rows.RowBytes;
        for (int channel = 0; channel < width; channel++)
            Round(from + channel * KeyValueBlock.Panel, from + (nint)(width + channel) * KeyValueBlock.Panel, Tokens,
                to + (nint)channel * Int4Rows.RowBytes, to + (nint)(width + channel) * Int4Rows.RowBytes, KeyScales(head, group) + channel, KeyZeros(head, group) + channel);
        for (int numbers = 0; numbers < ValueGroups; numbers++)
            for (int i = 0; i < Tokens; i++)
            {
                int token = group * Tokens + i;
                byte* row = Residual.Values(head) + 2 * numbers * Residual.ValuePanelBytes + i * Residual.RowBytes, codes = block.Values(head) + 2 * numbers * block.ValuePanelBytes + (nint)token * Int4Rows.RowBytes;
                Round((Half*)row, (Half*)(row + Residual.ValuePanelBytes), Math.Min(Tokens, width - numbers * Tokens), codes, codes + block.ValuePanelBytes, ValueScales(head, numbers) + token, ValueZeros(head, numbers) + token);
            }
    }

    /// <summary>Takes over what belongs to the first <paramref name="tokens"/> of a block of the same sizes.</summary>
    public void CopyFrom(KeyValueGroups other, int tokens)
    {
        int groups = tokens / Tokens;
        for (int head = 0; head < Residual.Heads; head++)
        {
            Copy(other.KeyScales(head, 0), KeyScales(head, 0), 2 * groups * width);
            for (int numbers = 0; numbers < ValueGroups; numbers++)
            {
                Copy(other.ValueScales(head, numbers), ValueScales(head, numbers), groups * Tokens);
                Copy(other.ValueZeros(head, numbers), ValueZeros(head, numbers), groups * Tokens);
            }
        }
        Residual.CopyFrom(other.Residual, Tokens);
    }

    static void Copy(Half* from, Half* to, int count) => new ReadOnlySpan<Half>(from, count).CopyTo(new Span<Half>(to, count));

    // Up to 16 numbers and those that follow: with up to 16 in all there is no second row.
    [SkipLocalsInit]
    static void Round(Half* first, Half* second, int count, byte* firstCodes, byte* secondCodes, Half* scale, Half* zero)
    {
        Span<float> numbers = stackalloc float[Tokens];
        int left = Math.Min(count, KeyValueBlock.Panel);
        TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(first, left), numbers);
        if (count > left)
            TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(second, count - left), numbers[left..]);
        numbers = numbers[..count];
        float least = TensorPrimitives.Min<float>(numbers);
        (*scale, *zero) = ((Half)((TensorPrimitives.Max<float>(numbers) - least) / 15), (Half)least);
        // A group of one number, or nearly, has the scale 0.
        float factor = *scale > (Half)0 ? 1 / (float)*scale : 0;
        for (int i = 0; i < KeyValueBlock.Panel; i++)
            Int4Rows.Set(firstCodes, i, i < count ? Code(numbers[i]) : 0);
        for (int i = 0; i < count - left; i++)
            Int4Rows.Set(secondCodes, i, Code(numbers[left + i]));

        int Code(float number) => (int)Math.Clamp(MathF.Round((number - least) * factor), 0, 15);
    }

    static Half* Start(Half[] array) => (Half*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(array));
}

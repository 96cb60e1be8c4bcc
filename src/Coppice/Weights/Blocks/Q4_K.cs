using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q4_K: 256 weights in eight groups of 32, w = d s q - dmin m with q from 0 to 15, and a group's scale s and minimum m from 0 to 63. 144 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q4_K : IBlock<Q4_K>
{
    /// <summary>d, the scale of the groups' scales.</summary>
    public Half Scale;

    /// <summary>dmin, the scale of the groups' minima.</summary>
    public Half MinScale;

    /// <summary>The groups' scales and minima.</summary>
    public Groups GroupScales;

    /// <summary>q: byte 32 p + i holds weight 64 p + i in its low nibble and weight 64 p + 32 + i in its high one.</summary>
    public Nibbles Values;

    /// <summary>Scales and minima of eight groups, six bits each, in 12 bytes. Of groups 0 to 3 the scales are the low bits of bytes 0 to 3, the minima those of bytes 4 to 7. Of groups 4 to 7
    /// bytes 8 to 11 hold the low four bits (scale in the low nibble), and bytes 0 to 3 and 4 to 7 hold the high two bits of scale and minimum in their own top bits.</summary>
    [InlineArray(12)]
    public struct Groups
    {
        byte first;

        /// <summary>The scale s and the minimum m of a group, each 0 to 63.</summary>
        public readonly (int Scale, int Min) Of(int group) => group < 4
            ? (this[group] & 63, this[group + 4] & 63)
            : (this[group + 4] & 15 | this[group - 4] >> 6 << 4, this[group + 4] >> 4 | this[group] >> 6 << 4);

        /// <summary>Sets all scales and minima, each 0 to 63.</summary>
        public void Fill(ReadOnlySpan<sbyte> scales, ReadOnlySpan<sbyte> mins)
        {
            for (int i = 0; i < 4; i++)
            {
                this[i] = (byte)((byte)scales[i] | scales[i + 4] >> 4 << 6);
                this[i + 4] = (byte)((byte)mins[i] | mins[i + 4] >> 4 << 6);
                this[i + 8] = (byte)(scales[i + 4] & 15 | (mins[i + 4] & 15) << 4);
            }
        }

        /// <summary>All scales and minima.</summary>
        public readonly void Split(Span<sbyte> scales, Span<sbyte> mins)
        {
            for (int group = 0; group < 8; group++)
            {
                (int scale, int min) = Of(group);
                (scales[group], mins[group]) = ((sbyte)scale, (sbyte)min);
            }
        }
    }

    /// <summary>128 bytes of two codes each.</summary>
    [InlineArray(128)]
    public struct Nibbles
    {
        byte first;
    }

    /// <inheritdoc/>
    public static int Size => 256;

    /// <inheritdoc/>
    public static string Name => "q4_k";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale) && Half.IsFinite(MinScale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(32, BlockShape.Whole(0, 15)) { Scales = (0, 63), Mins = (0, 63) };

    /// <inheritdoc/>
    public static Q4_K Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<Q4_K>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => SuperAffine.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static Q4_K Join(BlockParts parts)
    {
        Q4_K block = new() { Scale = parts.Units[0], MinScale = parts.Units[1] };
        block.GroupScales.Fill(parts.Scales, parts.Mins);
        for (int run = 0; run < Size; run += CodeBits.Run)
            CodeBits.Put(parts.Codes[run..], 0, 4, block.Values[(run / 64 * 32)..], run / 32 % 2 * 4);
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        (parts.Units[0], parts.Units[1]) = (Scale, MinScale);
        GroupScales.Split(parts.Scales, parts.Mins);
        for (int run = 0; run < Size; run += CodeBits.Run)
            CodeBits.Take(Values[(run / 64 * 32)..], run / 32 % 2 * 4, 4).CopyTo(parts.Codes[run..]);
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q4_K>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q4_K> blocks) => BlockDealing.Pack<Q4_K, Q4KPanels, Q4KDealer>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int group = 0; group < 8; group++)
        {
            float products = 0, inputs = 0;
            for (int i = 0; i < 32; i++)
            {
                products += Code(group, i) * x[32 * group + i];
                inputs += x[32 * group + i];
            }
            (float scale, float offset) = ScaleOf(group);
            sum += scale * products - offset * inputs;
        }
        return sum;
    }

    readonly int Code(int group, int i) => Values[group / 2 * 32 + i] >> group % 2 * 4 & 15;

    // Both products are exact: 11 bits times 6.
    readonly (float Scale, float Offset) ScaleOf(int group)
    {
        (int scale, int min) = GroupScales.Of(group);
        return ((float)Scale * scale, (float)MinScale * min);
    }
}

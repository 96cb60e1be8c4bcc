using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q6_K: 256 weights in sixteen groups of 16, w = d s (q - 32) with q from 0 to 63 and a group's scale s from -128 to 127. 210 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q6_K : IBlock<Q6_K>
{
    /// <summary>The low four bits of q. Each half of the block has 64 bytes: bytes 0 to 31 hold its weights 0 to 31 in their low nibbles and 64 to 95 in their high ones,
    /// bytes 32 to 63 its weights 32 to 63 and 96 to 127.</summary>
    public Nibbles Low;

    /// <summary>The high two bits of q. Each half has 32 bytes; byte i holds, from its lowest bits up, those of the half's weights i, 32 + i, 64 + i and 96 + i.</summary>
    public Pairs High;

    /// <summary>s of each 16 weights, in order.</summary>
    public Groups GroupScales;

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>128 bytes of two codes' low bits.</summary>
    [InlineArray(128)]
    public struct Nibbles
    {
        byte first;
    }

    /// <summary>64 bytes of four codes' high bits.</summary>
    [InlineArray(64)]
    public struct Pairs
    {
        byte first;
    }

    /// <summary>16 signed bytes.</summary>
    [InlineArray(16)]
    public struct Groups
    {
        sbyte first;
    }

    /// <inheritdoc/>
    public static int Size => 256;

    /// <inheritdoc/>
    public static string Name => "q6_k";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(16, BlockShape.Whole(-32, 31)) { Scales = (-128, 127) };

    /// <inheritdoc/>
    public static Q6_K Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<Q6_K>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => SuperScale.Search<SixBitLevels>(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static Q6_K Join(BlockParts parts)
    {
        Q6_K block = new() { Scale = parts.Units[0] };
        for (int group = 0; group < 16; group++)
            block.GroupScales[group] = parts.Scales[group];
        for (int run = 0; run < Size; run += CodeBits.Run)
        {
            int half = run / 128, quarter = run % 128 / 32;
            CodeBits.Put(parts.Codes[run..], 0, 4, block.Low[(64 * half + quarter % 2 * 32)..], quarter / 2 * 4);
            CodeBits.Put(parts.Codes[run..], 4, 2, block.High[(32 * half)..], 2 * quarter);
        }
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < 16; group++)
            parts.Scales[group] = GroupScales[group];
        for (int run = 0; run < Size; run += CodeBits.Run)
        {
            int half = run / 128, quarter = run % 128 / 32;
            (CodeBits.Take(Low[(64 * half + quarter % 2 * 32)..], quarter / 2 * 4, 4) | CodeBits.Take(High[(32 * half)..], 2 * quarter, 2) << 4).CopyTo(parts.Codes[run..]);
        }
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q6_K>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q6_K> blocks) => BlockDealing.Pack<Q6_K, Q6KPanels, Q6KDealer>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int group = 0; group < 16; group++)
        {
            float products = 0;
            for (int i = 16 * group; i < 16 * group + 16; i++)
                products += (Code(i) - 32) * x[i];
            sum += (float)Scale * GroupScales[group] * products;
        }
        return sum;
    }

    readonly int Code(int i)
    {
        int half = i / 128, quarter = i % 128 / 32, place = i % 32;
        int low = Low[64 * half + quarter % 2 * 32 + place] >> quarter / 2 * 4 & 15;
        return low | (High[32 * half + place] >> 2 * quarter & 3) << 4;
    }
}

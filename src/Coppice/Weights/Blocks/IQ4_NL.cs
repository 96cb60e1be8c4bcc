using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ4_NL: 32 weights, w = d t[q] with q from 0 to 15, d a half and t the table of <see cref="NonLinearLevels"/>. 18 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ4_NL : IBlock<IQ4_NL>
{
    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>q: low nibbles are weights 0 to 15, high nibbles 16 to 31.</summary>
    public Q4_0.Nibbles Values;

    /// <inheritdoc/>
    public static int Size => 32;

    /// <inheritdoc/>
    public static string Name => "iq4_nl";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(32, [.. NonLinearLevels.Table]);

    /// <inheritdoc/>
    public static IQ4_NL Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ4_NL>(values);

    /// <inheritdoc/>
    public static void Pack(ReadOnlySpan<float> values, Span<IQ4_NL> blocks)
    {
        Span<Half> scales = stackalloc Half[GroupLanes.Count];
        Span<byte> codes = stackalloc byte[GroupLanes.Count * Size];
        for (; !blocks.IsEmpty; blocks = blocks[scales.Length..], values = values[(scales.Length * Size)..])
        {
            scales = scales[..Math.Min(scales.Length, blocks.Length)];
            ScaleSearch.Fill<NonLinearLevels>(values[..(scales.Length * Size)], default, Size, scales, codes[..(scales.Length * Size)]);
            for (int i = 0; i < scales.Length; i++)
                blocks[i] = new IQ4_NL { Scale = scales[i], Values = Q4_0.Nibbles.Join(codes.Slice(i * Size, Size)) };
        }
    }

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => ScaleSearch.Fill<NonLinearLevels>(values, importance, parts);

    /// <inheritdoc/>
    public static IQ4_NL Join(BlockParts parts) => new() { Scale = parts.Units[0], Values = Q4_0.Nibbles.Join(parts.Codes) };

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.FillOneGroup(Scale);
        Values.Split(parts.Codes);
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<IQ4_NL>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ4_NL> blocks) => BlockPanelPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = 0; i < Size; i++)
            sum += Level(i) * x[i];
        return sum * (float)Scale;
    }

    readonly sbyte Level(int i) => NonLinearLevels.Table[Values[i % 16] >> i / 16 * 4 & 15];
}

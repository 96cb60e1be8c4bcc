using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ3_S: 256 weights in eight groups of 32, w = d (2 s + 1) l, a group's s from 0 to 15, each four weights one of 512 points of the odd magnitudes from 1 to 15, with any signs. 110 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ3_S : IBlock<IQ3_S>
{
    static readonly Codebook points = new(CodebookGrids.Three512, 4, [1, 3, 5, 7, 9, 11, 13, 15], hasEvenSigns: false);

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>The low eight bits of each four weights' point.</summary>
    public Q6_K.Pairs Low;

    /// <summary>The high bit of each point.</summary>
    public ulong High;

    /// <summary>The signs, a bit each, set where negative.</summary>
    public Q3_K.Bits Signs;

    /// <summary>s of each group, four bits each.</summary>
    public uint GroupScales;


    /// <inheritdoc/>
    public static int Size => CodebookBlocks.Size;

    /// <inheritdoc/>
    public static string Name => "iq3_s";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = CodebookBlocks.Shape(32, 1, points);

    /// <inheritdoc/>
    public static IQ3_S Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ3_S>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => CodebookSearch.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static IQ3_S Join(BlockParts parts)
    {
        IQ3_S block = new() { Scale = parts.Units[0] };
        for (int i = 0; i < Size / 4; i++)
        {
            int point = points.PointOf(parts.Codes.Slice(4 * i, 4));
            block.Low[i] = (byte)point;
            block.High |= (ulong)(point >> 8) << i;
        }
        for (int i = 0; i < Size / Codebook.Run; i++)
            block.Signs[i] = (byte)points.SignsOf(parts.Codes.Slice(i * Codebook.Run, Codebook.Run));
        for (int group = 0; group < 8; group++)
            block.GroupScales |= (uint)(parts.Scales[group] / 2) << 4 * group;
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < 8; group++)
            parts.Scales[group] = (sbyte)(2 * (int)(GroupScales >> 4 * group & 15) + 1);
        for (int i = 0; i < Size / 4; i++)
            points.Put(Low[i] | (int)(High >> i & 1) << 8, Signs[i / 2] >> i % 2 * 4, parts.Codes.Slice(4 * i, 4));
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => CodebookBlocks.Unpack(this, values);

    static PanelProduct IBlock<IQ3_S>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ3_S> blocks) => CodebookBlocks.Panels<IQ3_S, Whole32>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x) => CodebookBlocks.Dot(this, x);
}

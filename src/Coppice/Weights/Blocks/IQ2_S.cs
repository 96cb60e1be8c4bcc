using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ2_S: 256 weights in sixteen groups of 16, w = d (2 s + 1) / 8 l, a group's s from 0 to 15, each eight weights one of 1,024 points of magnitudes 8, 25 and 43, with any signs. 82 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ2_S : IBlock<IQ2_S>
{
    static readonly Codebook points = new(CodebookGrids.Two1024, 8, [8, 25, 43], hasEvenSigns: false);

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>The low eight bits of each eight weights' point.</summary>
    public Q3_K.Bits Low;

    /// <summary>The signs of each eight weights, a bit each, set where negative.</summary>
    public Q3_K.Bits Signs;

    /// <summary>The high two bits of each point.</summary>
    public ulong High;

    /// <summary>s of each group, four bits each.</summary>
    public ulong GroupScales;

    /// <inheritdoc/>
    public static int Size => CodebookBlocks.Size;

    /// <inheritdoc/>
    public static string Name => "iq2_s";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = CodebookBlocks.Shape(16, 1 / 8f, points);

    /// <inheritdoc/>
    public static IQ2_S Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ2_S>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => CodebookSearch.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static IQ2_S Join(BlockParts parts)
    {
        IQ2_S block = new() { Scale = parts.Units[0] };
        for (int i = 0; i < Size / Codebook.Run; i++)
        {
            ReadOnlySpan<byte> run = parts.Codes.Slice(i * Codebook.Run, Codebook.Run);
            int point = points.PointOf(run);
            (block.Low[i], block.Signs[i]) = ((byte)point, (byte)points.SignsOf(run));
            block.High |= (ulong)(point >> 8) << 2 * i;
        }
        for (int group = 0; group < 16; group++)
            block.GroupScales |= (ulong)(parts.Scales[group] / 2) << 4 * group;
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < 16; group++)
            parts.Scales[group] = (sbyte)(2 * (int)(GroupScales >> 4 * group & 15) + 1);
        for (int i = 0; i < Size / Codebook.Run; i++)
            points.Put(Low[i] | (int)(High >> 2 * i & 3) << 8, Signs[i], parts.Codes.Slice(i * Codebook.Run, Codebook.Run));
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => CodebookBlocks.Unpack(this, values);

    static PanelProduct IBlock<IQ2_S>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ2_S> blocks) => CodebookBlocks.Panels<IQ2_S, Eighths16>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x) => CodebookBlocks.Dot(this, x);
}

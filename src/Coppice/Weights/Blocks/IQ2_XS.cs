using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ2_XS: 256 weights in sixteen groups of 16, w = d (2 s + 1) / 8 l, a group's s from 0 to 15, each eight weights one of 512 points of magnitudes 8, 25 and 43 with an even number of negative signs. 74 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ2_XS : IBlock<IQ2_XS>
{
    static readonly Codebook points = new(CodebookGrids.Two512, 8, [8, 25, 43], hasEvenSigns: true);

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>Of each eight weights their point in the low nine bits and their first seven signs in the others.</summary>
    public Runs Values;

    /// <summary>s of each group, four bits each.</summary>
    public ulong GroupScales;

    /// <summary>Two bytes of each eight weights.</summary>
    [InlineArray(32)]
    public struct Runs
    {
        ushort first;
    }

    /// <inheritdoc/>
    public static int Size => CodebookBlocks.Size;

    /// <inheritdoc/>
    public static string Name => "iq2_xs";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = CodebookBlocks.Shape(16, 1 / 8f, points);

    /// <inheritdoc/>
    public static IQ2_XS Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ2_XS>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => CodebookSearch.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static IQ2_XS Join(BlockParts parts)
    {
        IQ2_XS block = new() { Scale = parts.Units[0] };
        for (int i = 0; i < Size / Codebook.Run; i++)
        {
            ReadOnlySpan<byte> run = parts.Codes.Slice(i * Codebook.Run, Codebook.Run);
            block.Values[i] = (ushort)(points.PointOf(run) | (points.SignsOf(run) & 127) << 9);
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
            points.Put(Values[i] & 511, Codebook.EvenSigns(Values[i] >> 9), parts.Codes.Slice(i * Codebook.Run, Codebook.Run));
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => CodebookBlocks.Unpack(this, values);

    static PanelProduct IBlock<IQ2_XS>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ2_XS> blocks) => CodebookBlocks.Panels<IQ2_XS, Eighths16>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x) => CodebookBlocks.Dot(this, x);
}

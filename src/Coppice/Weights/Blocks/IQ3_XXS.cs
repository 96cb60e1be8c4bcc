using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ3_XXS: 256 weights in eight groups of 32, w = d (2 s + 1) / 4 l, a group's s from 0 to 15, each four weights one of 256 points of magnitudes 4, 12, 20, 28, 36, 44, 52 and 62, each eight with an even number of negative signs. 98 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ3_XXS : IBlock<IQ3_XXS>
{
    static readonly Codebook points = new(CodebookGrids.Three256, 4, [4, 12, 20, 28, 36, 44, 52, 62], hasEvenSigns: true);

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>The point of each four weights.</summary>
    public Q6_K.Pairs Values;

    /// <summary>Of each group, from the lowest bits up: the first seven signs of each eight weights, s.</summary>
    public Groups Signs;

    /// <summary>Four bytes of each group.</summary>
    [InlineArray(8)]
    public struct Groups
    {
        uint first;
    }

    /// <inheritdoc/>
    public static int Size => CodebookBlocks.Size;

    /// <inheritdoc/>
    public static string Name => "iq3_xxs";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = CodebookBlocks.Shape(32, 1 / 4f, points);

    /// <inheritdoc/>
    public static IQ3_XXS Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ3_XXS>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => CodebookSearch.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static IQ3_XXS Join(BlockParts parts)
    {
        IQ3_XXS block = new() { Scale = parts.Units[0] };
        for (int i = 0; i < Size; i += 4)
            block.Values[i / 4] = (byte)points.PointOf(parts.Codes.Slice(i, 4));
        for (int i = 0; i < Size; i += Codebook.Run)
            block.Signs[i / 32] |= (uint)(points.SignsOf(parts.Codes.Slice(i, Codebook.Run)) & 127) << i % 32 / 8 * 7;
        for (int group = 0; group < 8; group++)
            block.Signs[group] |= (uint)(parts.Scales[group] / 2) << 28;
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < 8; group++)
            parts.Scales[group] = (sbyte)(2 * (int)(Signs[group] >> 28) + 1);
        for (int i = 0; i < Size; i += 4)
            points.Put(Values[i / 4], Codebook.EvenSigns((int)(Signs[i / 32] >> i % 32 / 8 * 7 & 127)) >> i % 8, parts.Codes.Slice(i, 4));
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => CodebookBlocks.Unpack(this, values);

    static PanelProduct IBlock<IQ3_XXS>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ3_XXS> blocks) => CodebookBlocks.Panels<IQ3_XXS, Fourths32>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x) => CodebookBlocks.Dot(this, x);
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ2_XXS: 256 weights in eight groups of 32, w = d (2 s + 1) / 8 l, a group's s from 0 to 15, each eight weights one of 256 points of magnitudes 8, 25 and 43 with an even number of negative signs. 66 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ2_XXS : IBlock<IQ2_XXS>
{
    static readonly Codebook points = new(CodebookGrids.Two256, 8, [8, 25, 43], hasEvenSigns: true);

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>Of each group, from the lowest bits up: four points of 8 bits, their first seven signs each, s.</summary>
    public Groups Values;

    /// <summary>Eight bytes of each group.</summary>
    [InlineArray(8)]
    public struct Groups
    {
        ulong first;
    }

    /// <inheritdoc/>
    public static int Size => CodebookBlocks.Size;

    /// <inheritdoc/>
    public static string Name => "iq2_xxs";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = CodebookBlocks.Shape(32, 1 / 8f, points);

    /// <inheritdoc/>
    public static IQ2_XXS Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ2_XXS>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => CodebookSearch.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static IQ2_XXS Join(BlockParts parts)
    {
        IQ2_XXS block = new() { Scale = parts.Units[0] };
        for (int i = 0; i < Size; i += Codebook.Run)
        {
            ReadOnlySpan<byte> run = parts.Codes.Slice(i, Codebook.Run);
            block.Values[i / 32] |= (ulong)points.PointOf(run) << i % 32 | (ulong)(points.SignsOf(run) & 127) << 32 + i % 32 / 8 * 7;
        }
        for (int group = 0; group < 8; group++)
            block.Values[group] |= (ulong)(parts.Scales[group] / 2) << 60;
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < 8; group++)
            parts.Scales[group] = (sbyte)(2 * (int)(Values[group] >> 60) + 1);
        for (int i = 0; i < Size; i += Codebook.Run)
            points.Put((int)(Values[i / 32] >> i % 32 & 255), Codebook.EvenSigns((int)(Values[i / 32] >> 32 + i % 32 / 8 * 7 & 127)), parts.Codes.Slice(i, Codebook.Run));
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => CodebookBlocks.Unpack(this, values);

    static PanelProduct IBlock<IQ2_XXS>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ2_XXS> blocks) => CodebookBlocks.Panels<IQ2_XXS, Eighths32>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x) => CodebookBlocks.Dot(this, x);
}

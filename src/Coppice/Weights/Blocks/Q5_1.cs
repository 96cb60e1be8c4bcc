using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q5_1: 32 weights, w = q d + m with q from 0 to 31, d and m halves. 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q5_1 : IBlock<Q5_1>
{
    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>m, the smallest weight.</summary>
    public Half Min;

    /// <summary>The fifth bit of q: bit i is weight i's.</summary>
    public uint High;

    /// <summary>The low four bits of q: low nibbles are weights 0 to 15, high nibbles 16 to 31.</summary>
    public Q4_0.Nibbles Low;

    /// <inheritdoc/>
    public static int Size => 32;

    /// <inheritdoc/>
    public static string Name => "q5_1";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale) && Half.IsFinite(Min);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(32, BlockShape.Whole(0, 31)) { Mins = (-1, -1) };

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => AffineSearch.Fill(values, importance, 31, parts);

    /// <inheritdoc/>
    public static Q5_1 Join(BlockParts parts) => new() { Scale = parts.Units[0], Min = parts.Units[1], High = FifthBits.Join(parts.Codes), Low = Q4_0.Nibbles.Join(parts.Codes) };

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.FillOneGroup(Scale, Min, -1);
        Low.Split(parts.Codes);
        FifthBits.Add(High, parts.Codes);
    }

    /// <inheritdoc/>
    public static Q5_1 Pack(ReadOnlySpan<float> values)
    {
        (float scale, float inverse, float min) = MinMax.Of(values[..Size], 31);
        Q5_1 block = new() { Scale = (Half)scale, Min = (Half)min };
        for (int i = 0; i < Size; i++)
        {
            int code = MinMax.Code(values[i], min, inverse, 31);
            block.Low[i % 16] |= (byte)((code & 15) << i / 16 * 4);
            block.High |= (uint)(code >> 4 & 1) << i;
        }
        return block;
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q5_1>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q5_1> blocks) => BlockPanelPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float products = 0, inputs = 0;
        for (int i = 0; i < Size; i++)
        {
            products += Code(i) * x[i];
            inputs += x[i];
        }
        return (float)Scale * products + (float)Min * inputs;
    }

    readonly int Code(int i) => Low[i % 16] >> i / 16 * 4 & 15 | (int)(High >> i & 1) << 4;
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q8_0: 32 weights, w = q d with q from -127 to 127 and d a half. 34 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q8_0 : IBlock<Q8_0>
{
    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>q, in order.</summary>
    public Codes Values;

    /// <summary>32 signed bytes.</summary>
    [InlineArray(32)]
    public struct Codes
    {
        sbyte first;
    }

    /// <inheritdoc/>
    public static int Size => 32;

    /// <inheritdoc/>
    public static string Name => "q8_0";

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(32, BlockShape.Whole(-128, 127));

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => Pack(values).Split(parts);

    /// <inheritdoc/>
    public static Q8_0 Join(BlockParts parts) => FromCodes(parts.Units[0], parts.Codes);

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.FillOneGroup(Scale);
        for (int i = 0; i < Size; i++)
            parts.Codes[i] = (byte)(Values[i] + 128);
    }

    /// <inheritdoc/>
    public static Q8_0 Pack(ReadOnlySpan<float> values)
    {
        values = values[..Size];
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, Math.Abs(value));
        // The codes come from the float32 scale; the half that is stored is only rounded from it.
        float scale = largest / 127, inverse = scale != 0 ? 1 / scale : 0;
        Q8_0 block = new() { Scale = (Half)scale };
        for (int i = 0; i < values.Length; i++)
            block.Values[i] = (sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero);
        return block;
    }

    /// <inheritdoc/>
    public static void Pack(ReadOnlySpan<float> values, Span<Q8_0> blocks) => BlockPacking.Pack(values, blocks);

    /// <inheritdoc/>
    public static void Unpack(ReadOnlySpan<Q8_0> blocks, Span<float> values) => BlockPacking.Unpack(blocks, values);

    /// <summary>A block of 32 codes, 0 to 255 for q from -128 to 127, that were found elsewhere.</summary>
    public static Q8_0 FromCodes(Half scale, ReadOnlySpan<byte> codes)
    {
        Q8_0 block = new() { Scale = scale };
        for (int i = 0; i < Size; i++)
            block.Values[i] = (sbyte)(codes[i] - 128);
        return block;
    }

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values)
    {
        float scale = (float)Scale;
        for (int i = 0; i < Size; i++)
            values[i] = Values[i] * scale;
    }

    static PanelProduct IBlock<Q8_0>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q8_0> blocks) => BlockDealing.Pack<Q8_0, Int8Panels<Each32>, Q8Dealer>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = 0; i < Size; i++)
            sum += Values[i] * x[i];
        return sum * (float)Scale;
    }
}

using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q5_0: 32 weights, w = (q - 16) d with q from 0 to 31 and d a half. 22 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q5_0 : IBlock<Q5_0>
{
    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>The fifth bit of q: bit i is weight i's.</summary>
    public uint High;

    /// <summary>The low four bits of q: low nibbles are weights 0 to 15, high nibbles 16 to 31.</summary>
    public Q4_0.Nibbles Low;

    /// <inheritdoc/>
    public static int Size => 32;

    /// <inheritdoc/>
    public static string Name => "q5_0";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(32, BlockShape.Whole(-16, 15));

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => ScaleSearch.Fill<FiveBitLevels>(values, importance, parts);

    /// <inheritdoc/>
    public static Q5_0 Join(BlockParts parts) => new() { Scale = parts.Units[0], High = FifthBits.Join(parts.Codes), Low = Q4_0.Nibbles.Join(parts.Codes) };

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.FillOneGroup(Scale);
        Low.Split(parts.Codes);
        FifthBits.Add(High, parts.Codes);
    }

    /// <inheritdoc/>
    public static Q5_0 Pack(ReadOnlySpan<float> values)
    {
        values = values[..Size];
        float extreme = 0;
        foreach (float value in values)
            if (Math.Abs(value) > Math.Abs(extreme))
                extreme = value;
        // The number of largest magnitude becomes code 0, whichever its sign.
        float scale = extreme / -16, inverse = scale != 0 ? 1 / scale : 0;
        Q5_0 block = new() { Scale = (Half)scale };
        for (int i = 0; i < Size; i++)
        {
            int code = Math.Min(31, (int)(values[i] * inverse + 16.5f));
            block.Low[i % 16] |= (byte)((code & 15) << i / 16 * 4);
            block.High |= (uint)(code >> 4 & 1) << i;
        }
        return block;
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q5_0>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q5_0> blocks) => BlockPanelPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = 0; i < Size; i++)
            sum += (Code(i) - 16) * x[i];
        return sum * (float)Scale;
    }

    readonly int Code(int i) => Low[i % 16] >> i / 16 * 4 & 15 | (int)(High >> i & 1) << 4;
}

/// <summary>The fifth bits of 32 codes: bit i is code i's.</summary>
static class FifthBits
{
    public static uint Join(ReadOnlySpan<byte> codes)
    {
        uint bits = 0;
        for (int i = 0; i < 32; i++)
            bits |= (uint)(codes[i] >> 4 & 1) << i;
        return bits;
    }

    public static void Add(uint bits, Span<byte> codes)
    {
        for (int i = 0; i < 32; i++)
            codes[i] |= (byte)((bits >> i & 1) << 4);
    }
}

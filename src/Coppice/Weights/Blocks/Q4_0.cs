using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q4_0: 32 weights, w = (q - 8) d with q from 0 to 15 and d a half. 18 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q4_0 : IBlock<Q4_0>
{
    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>q: low nibbles are weights 0 to 15, high nibbles 16 to 31.</summary>
    public Nibbles Values;

    /// <summary>16 bytes of two codes each.</summary>
    [InlineArray(16)]
    public struct Nibbles
    {
        byte first;

        /// <summary>The 32 codes.</summary>
        public readonly void Split(Span<byte> codes)
        {
            Vector128<byte> pairs = Vector128.Create((ReadOnlySpan<byte>)this);
            (pairs & Vector128.Create((byte)15)).CopyTo(codes);
            (pairs >> 4).CopyTo(codes[16..]);
        }

        /// <summary>Bytes of the codes' low four bits.</summary>
        public static Nibbles Join(ReadOnlySpan<byte> codes)
        {
            Nibbles joined = default;
            (Vector128.Create(codes[..16]) & Vector128.Create((byte)15) | Vector128.Create(codes.Slice(16, 16)) << 4).CopyTo(joined);
            return joined;
        }
    }

    /// <inheritdoc/>
    public static int Size => 32;

    /// <inheritdoc/>
    public static string Name => "q4_0";

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(32, BlockShape.Whole(-8, 7));

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => ScaleSearch.Fill<FourBitLevels>(values, importance, parts);

    /// <inheritdoc/>
    public static Q4_0 Join(BlockParts parts) => FromCodes(parts.Units[0], parts.Codes);

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.FillOneGroup(Scale);
        Values.Split(parts.Codes);
    }

    /// <inheritdoc/>
    public static Q4_0 Pack(ReadOnlySpan<float> values)
    {
        values = values[..Size];
        float extreme = 0;
        foreach (float value in values)
            if (Math.Abs(value) > Math.Abs(extreme))
                extreme = value;
        // The number of largest magnitude becomes code 0, whichever its sign.
        float scale = extreme / -8, inverse = scale != 0 ? 1 / scale : 0;
        Q4_0 block = new() { Scale = (Half)scale };
        for (int i = 0; i < Size / 2; i++)
            block.Values[i] = (byte)(Code(values[i] * inverse) | Code(values[i + Size / 2] * inverse) << 4);
        return block;
    }

    /// <inheritdoc/>
    public static void Pack(ReadOnlySpan<float> values, Span<Q4_0> blocks) => BlockPacking.Pack(values, blocks);

    /// <inheritdoc/>
    public static void Unpack(ReadOnlySpan<Q4_0> blocks, Span<float> values) => BlockPacking.Unpack(blocks, values);

    /// <summary>A block of 32 codes, 0 to 15, that were found elsewhere.</summary>
    public static Q4_0 FromCodes(Half scale, ReadOnlySpan<byte> codes) => new() { Scale = scale, Values = Nibbles.Join(codes) };

    static int Code(float scaled) => Math.Min(15, (int)(scaled + 8.5f));

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values)
    {
        float scale = (float)Scale;
        for (int i = 0; i < Size / 2; i++)
        {
            values[i] = ((Values[i] & 15) - 8) * scale;
            values[i + Size / 2] = ((Values[i] >> 4) - 8) * scale;
        }
    }

    static PanelProduct IBlock<Q4_0>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q4_0> blocks) => BlockDealing.Pack<Q4_0, Int4Panels<Each32>, Q4Dealer>(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = 0; i < Size / 2; i++)
            sum += ((Values[i] & 15) - 8) * x[i];
        for (int i = 0; i < Size / 2; i++)
            sum += ((Values[i] >> 4) - 8) * x[i + Size / 2];
        return sum * (float)Scale;
    }
}

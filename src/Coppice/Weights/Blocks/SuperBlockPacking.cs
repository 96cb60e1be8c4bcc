using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>Rearranges llama.cpp's blocks of 256 weights for the kernels: their own bytes, dealt out four by four to the lanes of a panel.</summary>
static class SuperBlockPacking
{
    const int Lanes = IntegerPacking.Lanes;

    /// <summary>Rows of Q2_K blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q2_K> blocks)
    {
        int blocksPerRow = columns / Q2_K.Size;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<Q2KPanels>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<Q2_K> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            for (int i = 0; i < from.Length; i++)
            {
                Span<byte> block = at[i];
                IntegerPacking.PutScale(block, 0, at.Lane, from[i].Scale);
                IntegerPacking.PutScale(block, 1, at.Lane, from[i].MinScale);
                for (int group = 0; group < 16; group++)
                    block[Q2KPanels.ScalesAt + group * Lanes + at.Lane] = from[i].GroupScales[group];
                Deal(from[i].Values, block[Q2KPanels.CodesAt..], at.Lane);
            }
        }));
    }

    /// <summary>Rows of Q3_K blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q3_K> blocks)
    {
        int blocksPerRow = columns / Q3_K.Size;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<Q3KPanels>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<Q3_K> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            BlockParts parts = new(stackalloc Half[2], stackalloc sbyte[16], stackalloc sbyte[16], stackalloc byte[Q3_K.Size]);
            for (int i = 0; i < from.Length; i++)
            {
                Span<byte> block = at[i];
                from[i].Split(parts);
                IntegerPacking.PutScale(block, 0, at.Lane, parts.Units[0]);
                for (int group = 0; group < 16; group++)
                    block[Q3KPanels.ScalesAt + group * Lanes + at.Lane] = (byte)parts.Scales[group];
                DealThrees(parts.Codes, MemoryMarshal.Cast<byte, uint>(block[Q3KPanels.CodesAt..]), at.Lane);
            }
        }));
    }

    /// <summary>Rows of Q5_K blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q5_K> blocks)
    {
        int blocksPerRow = columns / Q5_K.Size;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<Q5KPanels>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<Q5_K> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            for (int i = 0; i < from.Length; i++)
            {
                Span<byte> block = at[i];
                PutAffine(block, at.Lane, from[i].Scale, from[i].MinScale, from[i].GroupScales);
                Deal(from[i].Low, block[Q4KPanels.CodesAt..], at.Lane);
                Deal(from[i].High, block[Q5KPanels.HighAt..], at.Lane);
            }
        }));
    }

    /// <summary>Rows of IQ4_XS blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ4_XS> blocks)
    {
        int blocksPerRow = columns / IQ4_XS.Size;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<ScaledLevelPanels>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<IQ4_XS> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            for (int i = 0; i < from.Length; i++)
            {
                Span<byte> block = at[i];
                IntegerPacking.PutScale(block, 0, at.Lane, from[i].Scale);
                for (int group = 0; group < 8; group++)
                    block[ScaledLevelPanels.ScalesAt + group * Lanes + at.Lane] = (byte)from[i].GroupScale(group);
                for (int pair = 0; pair < 4; pair++)
                    IntegerPacking.PutPair(from[i].Values[2 * pair], from[i].Values[2 * pair + 1], block[(ScaledLevelPanels.CodesAt + pair * Nibbles.Bytes)..], at.Lane);
            }
        }));
    }

    // What Q4_K and Q5_K begin with.
    static void PutAffine(Span<byte> block, int lane, Half scale, Half minScale, Q4_K.Groups groups)
    {
        IntegerPacking.PutScale(block, 0, lane, scale);
        IntegerPacking.PutScale(block, 1, lane, minScale);
        for (int group = 0; group < 8; group++)
        {
            (int own, int min) = groups.Of(group);
            block[Q4KPanels.ScalesAt + group * Lanes + lane] = (byte)own;
            block[Q4KPanels.MinsAt + group * Lanes + lane] = (byte)min;
        }
    }

    // Codes of 0 to 7, where Q3KPanels has them.
    static void DealThrees(ReadOnlySpan<byte> codes, Span<uint> rows, int lane)
    {
        const uint LowBits = 0x03030303, HighBits = 0x01010101;
        ReadOnlySpan<uint> fours = MemoryMarshal.Cast<byte, uint>(codes);
        for (int i = 0; i < fours.Length; i++)
        {
            int group = i / 4, row = Q3KPanels.Row(group) + i % 4;
            rows[row * Lanes + lane] |= (Q3KPanels.IsParted(group) ? fours[i] & LowBits : fours[i]) << Q3KPanels.Shift(group);
            if (Q3KPanels.IsParted(group))
                rows[(Q3KPanels.High(group).Row + i % 4) * Lanes + lane] |= (fours[i] >> 2 & HighBits) << Q3KPanels.High(group).Bit;
        }
    }

    static void Deal(ReadOnlySpan<byte> bytes, Span<byte> vectors, int lane) => IntegerPacking.PutVectors(MemoryMarshal.Cast<byte, uint>(bytes), vectors, lane);
}

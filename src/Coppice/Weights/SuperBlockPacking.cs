using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Rearranges llama.cpp's blocks of 256 weights for the kernels: their own bytes, dealt out four by four to the lanes of a panel.</summary>
static class SuperBlockPacking
{
    const int Lanes = IntegerPacking.Lanes;

    /// <summary>Rows of Q4_K blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q4_K> blocks)
    {
        int blocksPerRow = columns / Q4_K.Size;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<Q4KPanels>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<Q4_K> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            for (int i = 0; i < from.Length; i++)
            {
                Span<byte> block = at[i];
                Span<Half> halves = MemoryMarshal.Cast<byte, Half>(block);
                (halves[at.Lane], halves[Lanes + at.Lane]) = (from[i].Scale, from[i].MinScale);
                for (int group = 0; group < 8; group++)
                {
                    (int scale, int min) = from[i].Group(group);
                    block[Q4KPanels.ScalesAt + group * Lanes + at.Lane] = (byte)scale;
                    block[Q4KPanels.MinsAt + group * Lanes + at.Lane] = (byte)min;
                }
                Deal(from[i].Values, block[Q4KPanels.CodesAt..], at.Lane);
            }
        }));
    }

    /// <summary>Rows of Q6_K blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q6_K> blocks)
    {
        int blocksPerRow = columns / Q6_K.Size;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<Q6KPanels>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<Q6_K> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            for (int i = 0; i < from.Length; i++)
            {
                Span<byte> block = at[i];
                MemoryMarshal.Cast<byte, Half>(block)[at.Lane] = from[i].Scale;
                for (int group = 0; group < 16; group++)
                    block[Q6KPanels.ScalesAt + group * Lanes + at.Lane] = (byte)from[i].GroupScales[group];
                Deal(from[i].Low, block[Q6KPanels.LowAt..], at.Lane);
                Deal(from[i].High, block[Q6KPanels.HighAt..], at.Lane);
            }
        }));
    }

    // Every four bytes go to the same lane of the next vector.
    static void Deal(ReadOnlySpan<byte> bytes, Span<byte> vectors, int lane)
    {
        ReadOnlySpan<uint> fours = MemoryMarshal.Cast<byte, uint>(bytes);
        Span<uint> to = MemoryMarshal.Cast<byte, uint>(vectors);
        for (int i = 0; i < fours.Length; i++)
            to[i * Lanes + lane] = fours[i];
    }
}

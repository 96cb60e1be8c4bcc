using System.Runtime.InteropServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>Rearranges integer weights for the kernels, which want a scale for every 32 inputs; larger groups repeat theirs.</summary>
static class IntegerPacking
{
    /// <summary>Inputs of a block.</summary>
    public const int Steps = 32;

    /// <summary>Outputs of a panel.</summary>
    public const int Lanes = MicroKernel.PanelColumns;

    /// <summary>Gives a row's codes, 0 to 2^bits - 1, and for each 32 inputs its scale and zero point.</summary>
    public delegate void CodeRow(int row, Span<byte> codes, Span<Half> scales, Span<byte> zeros);

    /// <summary>Integers of at most 4 bits.</summary>
    public static PanelProduct Pack4(int rows, int columns, CodeRow read)
    {
        PackedPanels<Int4ZeroPanels> panels = new(rows, columns);
        ForEachBlock(rows, columns, read, (row, block, codes, scale, zero) =>
        {
            Span<byte> bytes = panels.Panel(row / Lanes).Slice(block * Int4ZeroPanels.BlockBytes, Int4ZeroPanels.BlockBytes);
            MemoryMarshal.Cast<byte, Half>(bytes)[row % Lanes] = scale;
            bytes[Int4ZeroPanels.ZerosAt + row % Lanes] = zero;
            PutNibbles(codes, 0, bytes[(Int4ZeroPanels.CodesAt + row % Lanes)..]);
        });
        return PanelProduct.Of(panels);
    }

    /// <summary>Integers of at most 4 bits whose zero point is <paramref name="zero"/> everywhere.</summary>
    public static PanelProduct Pack4(int rows, int columns, int zero, CodeRow read)
    {
        PackedPanels<Int4Panels> panels = new(rows, columns);
        ForEachBlock(rows, columns, read, (row, block, codes, scale, _) =>
        {
            Span<byte> bytes = panels.Panel(row / Lanes).Slice(block * Int4Panels.BlockBytes, Int4Panels.BlockBytes);
            MemoryMarshal.Cast<byte, Half>(bytes)[row % Lanes] = scale;
            PutNibbles(codes, Int4Panels.Zero - zero, bytes[(Int4Panels.CodesAt + row % Lanes)..]);
        });
        return PanelProduct.Of(panels);
    }

    /// <summary>Integers of which each lies within a signed byte of its zero point.</summary>
    public static PanelProduct Pack8(int rows, int columns, CodeRow read)
    {
        PackedPanels<Int8Panels> panels = new(rows, columns);
        ForEachBlock(rows, columns, read, (row, block, codes, scale, zero) =>
        {
            Span<byte> bytes = panels.Panel(row / Lanes).Slice(block * Int8Panels.BlockBytes, Int8Panels.BlockBytes);
            MemoryMarshal.Cast<byte, Half>(bytes)[row % Lanes] = scale;
            for (int step = 0; step < codes.Length; step++)
                bytes[Int8Panels.CodesAt + step * Lanes + row % Lanes] = (byte)(codes[step] - zero);
        });
        return PanelProduct.Of(panels);
    }

    delegate void PutBlock(int row, int block, ReadOnlySpan<byte> codes, Half scale, byte zero);

    static void ForEachBlock(int rows, int columns, CodeRow read, PutBlock put)
    {
        byte[] codes = new byte[columns], zeros = new byte[(columns + Steps - 1) / Steps];
        Half[] scales = new Half[zeros.Length];
        for (int row = 0; row < rows; row++)
        {
            read(row, codes, scales, zeros);
            for (int block = 0; block < scales.Length; block++)
                put(row, block, codes.AsSpan(block * Steps, Math.Min(Steps, columns - block * Steps)), scales[block], zeros[block]);
        }
    }

    static void PutNibbles(ReadOnlySpan<byte> codes, int shift, Span<byte> bytes)
    {
        for (int step = 0; step < codes.Length; step++)
            bytes[step % 16 * Lanes] |= (byte)(codes[step] + shift << step / 16 * 4);
    }
}

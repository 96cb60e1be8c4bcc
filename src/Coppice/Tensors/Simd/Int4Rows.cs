using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Rows of 16 numbers as 4-bit codes in 8 bytes: byte j holds number j in its low half and number j + 8 in its high half.</summary>
internal static unsafe class Int4Rows
{
    /// <summary>Bytes of a row.</summary>
    public const int RowBytes = 8;

    /// <summary>The code of zero where codes have a sign.</summary>
    public const int Middle = 8;

    const int Numbers = KeyValueBlock.Panel;

    // Rows that are unpacked to bytes before they become floats: what was stored a moment ago in other widths would have to be waited for.
    const int Piece = 64;

    const ulong Low = 0x0F0F0F0F0F0F0F0F;

    /// <summary>Replaces one code, 0 to 15.</summary>
    public static void Set(byte* row, int number, int code)
    {
        byte* at = row + number % RowBytes;
        *at = (byte)(number < RowBytes ? *at & 0xF0 | code : *at & 0x0F | code << 4);
    }

    /// <summary>zero + scale * code, rounded once, with a scale and a zero point for each row.</summary>
    /// <param name="codes">Rows of 8 bytes.</param>
    /// <param name="scales">One half a row, with 15 more to read behind them; null: codes stand for -8 to 7.</param>
    /// <param name="zeros">Likewise.</param>
    /// <param name="rows">How many.</param>
    /// <param name="to">Rows of 16 floats.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Decode<TL, TV>(byte* codes, Half* scales, Half* zeros, int rows, float* to) where TL : struct, ILanes<TV> where TV : struct
    {
        ulong* bytes = stackalloc ulong[2 * Piece];
        float* scale = stackalloc float[Piece], zero = stackalloc float[Piece];
        new Span<float>(scale, Piece).Fill(1);
        new Span<float>(zero, Piece).Fill(-Middle);
        for (int first = 0; first < rows; first += Piece)
        {
            int count = Math.Min(Piece, rows - first);
            for (int row = 0; row < count; row++)
            {
                ulong packed = ((ulong*)codes)[first + row];
                bytes[2 * row] = packed & Low;
                bytes[2 * row + 1] = packed >> 4 & Low;
            }
            if (scales is not null)
            {
                Widen<TL, TV>(scales + first, count, scale);
                Widen<TL, TV>(zeros + first, count, zero);
            }
            for (int row = 0; row < count; row++, to += Numbers)
                for (int i = 0; i < Numbers; i += TL.Count)
                    TL.Store(TL.MultiplyAdd(TL.LoadInt8((sbyte*)bytes + row * Numbers + i), TL.Broadcast(scale[row]), TL.Broadcast(zero[row])), to + i);
        }
    }

    /// <summary>Halves to floats, whole vectors of them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen<TL, TV>(Half* from, int count, float* to) where TL : struct, ILanes<TV> where TV : struct
    {
        for (int i = 0; i < count; i += TL.Count)
            TL.Store(TL.LoadFiniteHalf((ushort*)(from + i)), to + i);
    }
}

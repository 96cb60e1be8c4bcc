using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>
/// pack-quantized's two generations. From version 0.18 on codes are a dense stream of bits; before, a word held as many whole codes as fit and the rest of its bits were 0. They are the same for 1, 2, 4 and 8 bits.
/// </summary>
static class CompressedLayout
{
    /// <summary>Words of the older generation.</summary>
    public static int WholeWords(int count, int bits) => (count + 32 / bits - 1) / (32 / bits);

    /// <summary>Unpacks <paramref name="codes"/>.Length codes of the older generation.</summary>
    public static void UnpackWhole(ReadOnlySpan<uint> words, int bits, Span<byte> codes)
    {
        int perWord = 32 / bits;
        uint mask = (1u << bits) - 1;
        for (int i = 0; i < codes.Length; i++)
            codes[i] = (byte)(words[i / perWord] >> i % perWord * bits & mask);
    }

    /// <summary>Rows of words of the older generation as rows of dense streams, made when they are asked for.</summary>
    public static ReadOnlyMemory<uint> ToStreams(ReadOnlyMemory<uint> words, int bits, int rows, int columns)
    {
        int whole = WholeWords(columns, bits), dense = BitPacking.Words(columns, bits);
        return new DeferredMemory<uint>(rows, dense, (firstRow, streams) =>
        {
            byte[] codes = new byte[columns];
            uint[] row = new uint[whole];
            for (; streams.Length > 0; firstRow++, streams = streams[dense..])
            {
                FileRun.Copy(words, firstRow * whole, row);
                UnpackWhole(row, bits, codes);
                BitPacking.Pack(codes, bits, streams[..dense]);
            }
        }).Memory;
    }

    /// <summary>Whether <paramref name="count"/> codes in <paramref name="words"/> words are a dense stream; null where they are of neither generation.</summary>
    /// <param name="words">Words in the file.</param>
    /// <param name="count">Codes.</param>
    /// <param name="bits">Bits of a code.</param>
    /// <param name="dense">What the file's version says, for sizes that leave it open.</param>
    public static bool? IsDense(long words, int count, int bits, bool dense)
    {
        bool fitsDense = words == BitPacking.Words(count, bits), fitsWhole = words == WholeWords(count, bits);
        return fitsDense && fitsWhole ? dense : fitsDense ? true : fitsWhole ? false : null;
    }
}

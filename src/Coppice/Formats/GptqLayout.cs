using Coppice.Coding;

namespace Coppice.Formats;

/// <summary>
/// GPTQ's packing. Codes [inputs, outputs] are packed down the inputs: word w of output o, at [w, o], is word w of the row o that <see cref="Weights.IntWeight"/> keeps, a dense stream with the
/// least significant bits first. Zero points [groups, outputs] are packed along the outputs.
/// </summary>
static class GptqLayout
{
    /// <summary>A matrix [rows, columns] turned around its diagonal.</summary>
    public static T[] Transpose<T>(ReadOnlySpan<T> values, int rows, int columns)
    {
        T[] result = new T[values.Length];
        Transpose(values, rows, columns, result);
        return result;
    }

    /// <summary>The same into memory that is there, square by square: rows and columns of one stay in a core's cache.</summary>
    public static void Transpose<T>(ReadOnlySpan<T> values, int rows, int columns, Span<T> result)
    {
        const int Side = 32;
        for (int top = 0; top < rows; top += Side)
            for (int left = 0; left < columns; left += Side)
                for (int row = top; row < Math.Min(top + Side, rows); row++)
                    for (int column = left; column < Math.Min(left + Side, columns); column++)
                        result[column * rows + row] = values[row * columns + column];
    }

    /// <summary>Packs zero points [outputs, groups] into words [groups, outputs bits / 32].</summary>
    public static uint[] PackZeros(ReadOnlySpan<byte> zeros, int bits, int outputs, int groups)
    {
        byte[] byGroup = Transpose(zeros, outputs, groups);
        int words = BitPacking.Words(outputs, bits);
        uint[] packed = new uint[groups * words];
        for (int group = 0; group < groups; group++)
            BitPacking.Pack(byGroup.AsSpan(group * outputs, outputs), bits, packed.AsSpan(group * words, words));
        return packed;
    }

    /// <summary>Unpacks words [groups, outputs bits / 32] into zero points [outputs, groups].</summary>
    public static byte[] UnpackZeros(ReadOnlySpan<uint> packed, int bits, int outputs, int groups)
    {
        int words = BitPacking.Words(outputs, bits);
        byte[] byGroup = new byte[groups * outputs];
        for (int group = 0; group < groups; group++)
            BitPacking.Unpack(packed.Slice(group * words, words), bits, byGroup.AsSpan(group * outputs, outputs));
        return Transpose<byte>(byGroup, groups, outputs);
    }

    /// <summary>Adds one to every code of words of 2, 4 or 8 bits a code, as one sum of the word: what undoes the one difference that writers take, borrows between codes included.</summary>
    public static void AddOnes(Span<uint> words, int bits)
    {
        uint ones = bits switch { 2 => 0x55555555, 4 => 0x11111111, _ => 0x01010101 };
        foreach (ref uint word in words)
            word += ones;
    }

    /// <summary>Adds one to every code of 3 bits, where codes straddle words.</summary>
    public static void AddOnes(Span<byte> codes)
    {
        foreach (ref byte code in codes)
            code = (byte)(code + 1 & 7);
    }

    /// <summary>Undoes what GPTQModel takes from each row of words of 3 bits a code: the constants of the first and the third word of three have changed places, so that it is not one a code.</summary>
    public static void AddGptqModelOffsets(Span<uint> words, int wordsPerRow)
    {
        for (int i = 0; i < words.Length; i++)
            words[i] += (i % wordsPerRow % 3) switch { 0 => 0x24924924u, 1 => 0x92492492u, _ => 0x49249249u };
    }
}

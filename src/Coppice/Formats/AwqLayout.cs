namespace Coppice.Formats;

/// <summary>AWQ's packing for its matrix products (GEMM): codes [inputs, outputs] of 4 bits, eight outputs a word; the i-th four bits of a word belong to output 8 word + <see cref="Order"/>[i].</summary>
static class AwqLayout
{
    /// <summary>Codes in a word.</summary>
    public const int PerWord = 8;

    /// <summary>Which of a word's eight outputs lies where.</summary>
    public static ReadOnlySpan<byte> Order => [0, 2, 4, 6, 1, 3, 5, 7];

    /// <summary>Unpacks words [rows, columns / 8] into codes [columns, rows].</summary>
    public static void Unpack(ReadOnlySpan<uint> words, int rows, int columns, Span<byte> codes)
    {
        int perRow = columns / PerWord;
        for (int row = 0; row < rows; row++)
            for (int i = 0; i < columns; i++)
                codes[(i / PerWord * PerWord + Order[i % PerWord]) * rows + row] = (byte)(words[row * perRow + i / PerWord] >> i % PerWord * 4 & 15);
    }

    /// <summary>Packs codes [columns, rows] into words [rows, columns / 8].</summary>
    public static void Pack(ReadOnlySpan<byte> codes, int rows, int columns, Span<uint> words)
    {
        int perRow = columns / PerWord;
        for (int word = 0; word < perRow; word++)
        {
            ReadOnlySpan<byte> eight = codes.Slice(word * PerWord * rows, PerWord * rows);
            for (int row = 0; row < rows; row++)
            {
                uint packed = 0;
                for (int i = 0; i < PerWord; i++)
                    packed |= (uint)eight[Order[i] * rows + row] << i * 4;
                words[row * perRow + word] = packed;
            }
        }
    }

    /// <summary>Turns words [inputs, outputs / 8] into rows [outputs, inputs / 8] of codes in order, least significant first, as <see cref="Weights.IntWeight"/> keeps them; the last word of a row may be part full.</summary>
    public static uint[] ToRows(ReadOnlySpan<uint> words, int inputs, int outputs)
    {
        int perRow = outputs / PerWord, perOutput = (inputs + PerWord - 1) / PerWord;
        uint[] rows = new uint[outputs * perOutput];
        // Eight inputs of eight outputs at a time.
        Span<uint> eight = stackalloc uint[PerWord];
        for (int first = 0; first < inputs; first += PerWord)
            for (int word = 0; word < perRow; word++)
            {
                eight.Clear();
                for (int k = 0; k < Math.Min(PerWord, inputs - first); k++)
                    eight[k] = words[(first + k) * perRow + word];
                for (int i = 0; i < PerWord; i++)
                {
                    uint row = 0;
                    for (int k = 0; k < PerWord; k++)
                        row |= (eight[k] >> 4 * i & 15) << 4 * k;
                    rows[(word * PerWord + Order[i]) * perOutput + first / PerWord] = row;
                }
            }
        return rows;
    }
}

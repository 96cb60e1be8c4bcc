using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>Numbers at some places of a row: how many, the gaps before each, the values.</summary>
static class SparseCodes
{
    /// <summary>Appends the numbers at rising places.</summary>
    public static void Write(ByteWriter writer, ReadOnlySpan<float> numbers, ReadOnlySpan<int> places, SparseValues format)
    {
        int[] gaps = new int[places.Length];
        float[] values = new float[places.Length];
        for (int i = 0; i < places.Length; i++)
        {
            gaps[i] = i == 0 ? places[0] : places[i] - places[i - 1] - 1;
            values[i] = numbers[places[i]];
        }
        writer.Varint((uint)places.Length);
        Gaps.Write(writer, gaps);
        format.Write(writer, values);
    }

    /// <summary>Reads a code that is not trusted: at most as many numbers as the row has, none past its end.</summary>
    public static void Read(ref ByteReader reader, Span<float> numbers, SparseValues format)
    {
        int count = reader.Varint("a number of places", numbers.Length);
        int[] gaps = new int[count];
        float[] values = new float[count];
        Gaps.Read(ref reader, gaps);
        format.Read(ref reader, values);
        long place = -1;
        for (int i = 0; i < count; i++)
        {
            place += gaps[i] + 1L;
            if (place >= numbers.Length)
                throw reader.Error($"place {place:N0}, wanted at most {numbers.Length - 1:N0}");
            numbers[(int)place] = values[i];
        }
    }
}

using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>How the few numbers that a sparse codec sends are stored.</summary>
public enum SparseValues
{
    /// <summary>A sign and one of 7 magnitudes, each a ratio above the last, or 0; entropy coded.</summary>
    Int4,

    /// <summary>IEEE half; its two bytes are entropy coded apart.</summary>
    Float16,
}

static class SparseValueCodes
{
    // What int4 keeps of small numbers: down to a 64th of the largest.
    const int Levels = 7, Reach = 64;

    /// <summary>The name in a codec's.</summary>
    public static string Word(this SparseValues format) => format == SparseValues.Int4 ? "int4" : "float16";

    /// <summary>Appends numbers whose count the reader has to know.</summary>
    public static void Write(this SparseValues format, ByteWriter writer, ReadOnlySpan<float> values)
    {
        if (format == SparseValues.Float16)
            WriteHalves(writer, values);
        else
            WriteLevels(writer, values);
    }

    /// <summary>Reads numbers that are not trusted.</summary>
    public static void Read(this SparseValues format, ref ByteReader reader, Span<float> values)
    {
        if (format == SparseValues.Float16)
            ReadHalves(ref reader, values);
        else
            ReadLevels(ref reader, values);
    }

    static void WriteHalves(ByteWriter writer, ReadOnlySpan<float> values)
    {
        byte[] low = new byte[values.Length], high = new byte[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            ushort bits = BitConverter.HalfToUInt16Bits((Half)Math.Clamp(values[i], (float)Half.MinValue, (float)Half.MaxValue));
            (low[i], high[i]) = ((byte)bits, (byte)(bits >> 8));
        }
        Rans.Write(writer, high);
        Rans.Write(writer, low);
    }

    static void ReadHalves(ref ByteReader reader, Span<float> values)
    {
        byte[] low = new byte[values.Length], high = new byte[values.Length];
        Rans.Read(ref reader, high);
        Rans.Read(ref reader, low);
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)BitConverter.UInt16BitsToHalf((ushort)(high[i] << 8 | low[i]));
    }

    // The lowest magnitude and the ratio (float32), then a symbol each: 8 for a minus, plus 1..7 for lowest ratio^(0..6), or 0.
    static void WriteLevels(ByteWriter writer, ReadOnlySpan<float> values)
    {
        float high = 0, low = float.MaxValue;
        foreach (float value in values)
            if (value != 0)
                (high, low) = (Math.Max(high, Math.Abs(value)), Math.Min(low, Math.Abs(value)));
        low = high == 0 ? 0 : Math.Max(low, high / Reach);
        float ratio = low == 0 ? 1 : (float)Math.Pow((double)high / low, 1.0 / (Levels - 1));
        writer.Float(low);
        writer.Float(ratio);
        float[] levels = Table(low, ratio);
        byte[] symbols = new byte[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            float magnitude = Math.Abs(values[i]);
            int level = Levels;
            // The nearest level: above the middle of two, the upper.
            while (level > 0 && magnitude < (levels[level] + levels[level - 1]) / 2)
                level--;
            symbols[i] = (byte)(level > 0 && values[i] < 0 ? 8 + level : level);
        }
        Rans.Write(writer, symbols);
    }

    static void ReadLevels(ref ByteReader reader, Span<float> values)
    {
        float low = reader.Float("a magnitude"), ratio = reader.Float("a ratio");
        if (!(low >= 0 && ratio >= 1))
            throw reader.Error($"magnitudes of {low} and {ratio} times as large, wanted 0 or more and 1 or more");
        float[] levels = Table(low, ratio);
        byte[] symbols = new byte[values.Length];
        Rans.Read(ref reader, symbols);
        for (int i = 0; i < values.Length; i++)
            values[i] = symbols[i] < 16 ? (symbols[i] >= 8 ? -1 : 1) * levels[symbols[i] & 7] : throw reader.Error($"level {symbols[i]}, wanted at most 15");
    }

    static float[] Table(float low, float ratio)
    {
        float[] levels = new float[Levels + 1];
        for (int level = 1; level <= Levels; level++)
            levels[level] = level == 1 ? low : levels[level - 1] * ratio;
        return levels;
    }
}

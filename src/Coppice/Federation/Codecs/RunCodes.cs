using System.Runtime.InteropServices;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>Numbers as entropy-coded whole numbers of -most..most with a float32 scale a run: the scales, then the codes q, as bytes q + most.</summary>
static class RunCodes
{
    /// <summary>Numbers that share a scale.</summary>
    public const int Length = Int8Codec.RunLength;

    /// <summary>Appends the code; rounds to nearest without <paramref name="random"/>.</summary>
    public static void Write(ByteWriter writer, IEnumerable<Range> runs, ReadOnlySpan<float> numbers, int most, Random? random)
    {
        byte[] codes = new byte[numbers.Length];
        foreach (Range run in runs)
            writer.Float(Int8Codec.Pack(numbers[run], random, MemoryMarshal.Cast<byte, sbyte>(codes.AsSpan(run)), most));
        for (int i = 0; i < codes.Length; i++)
            codes[i] = (byte)((sbyte)codes[i] + most);
        Rans.Write(writer, codes);
    }

    /// <summary>Reads a code that is not trusted.</summary>
    public static void Read(ref ByteReader reader, IEnumerable<Range> runs, Span<float> numbers, int most)
    {
        List<(Range Run, float Scale)> scales = [];
        foreach (Range run in runs)
        {
            float scale = reader.Float("a scale");
            if (!(scale >= 0 && float.IsFinite(scale * most)))
                throw reader.Error($"a scale of {scale}, wanted 0 or more and finite numbers");
            scales.Add((run, scale));
        }
        byte[] codes = new byte[numbers.Length];
        Rans.Read(ref reader, codes);
        foreach ((Range run, float scale) in scales)
            for (int i = run.Start.Value; i < run.End.Value; i++)
                numbers[i] = codes[i] <= 2 * most ? (codes[i] - most) * scale : throw reader.Error($"code {codes[i] - most}, wanted {-most} to {most}");
    }
}

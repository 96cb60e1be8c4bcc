using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>llama.cpp's blocks, read from bytes as their documentation says, one bit at a time, and rounded in the plainest way.</summary>
static class BlockOracle
{
    static readonly int[] Table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    // e2m1 without its sign.
    static readonly float[] Float4 = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6];

    public static float[] Read(string name, byte[] b)
    {
        float Half(int at) => (float)BitConverter.ToHalf(b, at);
        int Bits(int at, int first, int count) => b[at] >> first & (1 << count) - 1;
        // Of 32 weights from a byte on: the first 16 in low nibbles.
        int Nibble(int at, int i) => Bits(at + i % 16, i < 16 ? 0 : 4, 4);
        // Of 64 weights: the first 32 in low nibbles.
        int WideNibble(int at, int i) => Bits(at + i / 64 * 32 + i % 32, i % 64 < 32 ? 0 : 4, 4);
        // Of 128 weights: four to a byte, 32 apart.
        int Pair(int at, int i) => Bits(at + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
        (int Scale, int Min) SixBits(int at, int g) => g < 4
            ? (Bits(at + g, 0, 6), Bits(at + 4 + g, 0, 6))
            : (Bits(at + 4 + g, 0, 4) + 16 * Bits(at + g - 4, 6, 2), Bits(at + 4 + g, 4, 4) + 16 * Bits(at + g, 6, 2));
        Func<int, float> weight = name switch
        {
            "q8_0" => i => Half(0) * (sbyte)b[2 + i],
            "q4_0" => i => Half(0) * (Nibble(2, i) - 8),
            "q4_1" => i => Half(0) * Nibble(4, i) + Half(2),
            "q5_0" => i => Half(0) * (Nibble(6, i) + 16 * Bits(2 + i / 8, i % 8, 1) - 16),
            "q5_1" => i => Half(0) * (Nibble(8, i) + 16 * Bits(4 + i / 8, i % 8, 1)) + Half(2),
            "iq4_nl" => i => Half(0) * Table[Nibble(2, i)],
            "mxfp4" => i => Nibble(1, i) is var q ? (q < 8 ? 1 : -1) * Float4[q % 8] * (float)Math.Pow(2, b[0] - 127) : 0,
            "q2_k" => i => Half(80) * Bits(i / 16, 0, 4) * Pair(16, i) - Half(82) * Bits(i / 16, 4, 4),
            "q3_k" => i =>
            {
                int g = i / 16, scale = Bits(96 + g % 8, g < 8 ? 0 : 4, 4) + 16 * Bits(104 + g % 4, g / 4 * 2, 2) - 32;
                return Half(108) * scale * (Pair(32, i) - (Bits(i % 32, i / 32, 1) == 1 ? 0 : 4));
            }
            ,
            "q4_k" => i => Half(0) * SixBits(4, i / 32).Scale * WideNibble(16, i) - Half(2) * SixBits(4, i / 32).Min,
            "q5_k" => i => Half(0) * SixBits(4, i / 32).Scale * (WideNibble(48, i) + 16 * Bits(16 + i % 32, i / 32, 1)) - Half(2) * SixBits(4, i / 32).Min,
            "q6_k" => i =>
            {
                int place = i / 128 * 64 + i % 64, low = Bits(place, i % 128 < 64 ? 0 : 4, 4);
                return Half(208) * (sbyte)b[192 + i / 16] * (low + 16 * Pair(128, i) - 32);
            }
            ,
            "iq4_xs" => i =>
            {
                int g = i / 32, scale = Bits(4 + g / 2, g % 2 * 4, 4) + 16 * Bits(2 + g / 4, g % 4 * 2, 2) - 32;
                return Half(0) * scale * Table[Nibble(8 + 16 * g, i % 32)];
            }
            ,
            "iq2_xxs" => i =>
            {
                int at = 2 + i / 32 * 8, run = i % 32 / 8;
                return Half(0) * (Bits(at + 7, 4, 4) + 0.5f) / 4 * Point(name, b[at + run], i % 8) * EvenSign(Long(at + 4, 7 * run, 7), i % 8);
            }
            ,
            "iq2_xs" => i => Half(0) * (Bits(66 + i / 32, i % 32 / 16 * 4, 4) + 0.5f) / 4 * Point(name, (int)Long(2 + i / 8 * 2, 0, 9), i % 8) * EvenSign(Long(2 + i / 8 * 2, 9, 7), i % 8),
            "iq2_s" => i => Half(0) * (Bits(74 + i / 32, i % 32 / 16 * 4, 4) + 0.5f) / 4 * Point(name, b[2 + i / 8] + 256 * Bits(66 + i / 32, i % 32 / 8 * 2, 2), i % 8) * (1 - 2 * Bits(34 + i / 8, i % 8, 1)),
            "iq3_xxs" => i =>
            {
                int at = 66 + i / 32 * 4;
                return Half(0) * (Bits(at + 3, 4, 4) + 0.5f) / 2 * Point(name, b[2 + i / 4], i % 4) * EvenSign(Long(at, 7 * (i % 32 / 8), 7), i % 8);
            }
            ,
            "iq3_s" => i => Half(0) * (2 * Bits(106 + i / 64, i % 64 / 32 * 4, 4) + 1) * Point(name, b[2 + i / 4] + 256 * Bits(66 + i / 32, i % 32 / 4, 1), i % 4) * (1 - 2 * Bits(74 + i / 8, i % 8, 1)),
            _ => throw new ArgumentException(name),
        };
        return [.. Enumerable.Range(0, name.EndsWith("_k", StringComparison.Ordinal) || name.StartsWith("iq", StringComparison.Ordinal) && name != "iq4_nl" ? 256 : 32).Select(weight)];

        // Bits across bytes, the lowest first.
        long Long(int at, int first, int count) => Enumerable.Range(first, count).Sum(bit => (long)(b[at + bit / 8] >> bit % 8 & 1) << bit - first);
    }

    // A weight's magnitude at a point; that the grids are llama.cpp's its own blocks show.
    static int Point(string name, int point, int i)
    {
        Codebook book = BlockFormat.Find(name)!.Shape.Codebook!;
        byte[] codes = new byte[book.Length];
        book.Put(point, 0, codes);
        return book.Levels[codes[i]];
    }

    static int EvenSign(long seven, int i) => (i < 7 ? seven >> i & 1 : Enumerable.Range(0, 7).Sum(bit => seven >> bit & 1) % 2) == 0 ? 1 : -1;

    /// <summary>Q4_1, Q5_0 and Q5_1 as llama.cpp documents them.</summary>
    public static byte[] Write(string name, float[] values)
    {
        int most = name == "q4_1" ? 15 : 31;
        float largest = values.Max(Math.Abs), signed = values.First(value => Math.Abs(value) == largest), min = values.Min();
        float d = name == "q5_0" ? signed / -16f : (values.Max() - min) / most, inverse = d == 0 ? 0 : 1 / d;
        List<byte> bytes = [.. BitConverter.GetBytes((Half)d)];
        if (name != "q5_0")
            bytes.AddRange(BitConverter.GetBytes((Half)min));
        int[] codes = [.. values.Select(value =>
        {
            float shifted = name == "q5_0" ? value * inverse + 16.5f : (value - min) * inverse + 0.5f;
            return Math.Min(most, (int)Math.Floor((double)shifted));
        })];
        if (name != "q4_1")
            bytes.AddRange(BitConverter.GetBytes((uint)Enumerable.Range(0, 32).Sum(i => (long)(codes[i] / 16) << i)));
        bytes.AddRange(Enumerable.Range(0, 16).Select(i => (byte)(codes[i] % 16 + codes[i + 16] % 16 * 16)));
        return [.. bytes];
    }

    public static double SquaredError(float[] values, float[] stored) => values.Zip(stored, (value, other) => ((double)value - other) * ((double)value - other)).Sum();

    /// <summary>What is left of numbers when each group's step is its range over its codes, and steps and minima are rounded to the nearest of theirs.</summary>
    public static float[] Naive(string name, float[] values) => name switch
    {
        "q3_k" => SuperSymmetric(values, 16, 32, 4, -4, 3),
        "q6_k" => SuperSymmetric(values, 16, 128, 32, -32, 31),
        "q2_k" => SuperAffine(values, 16, 3, 15),
        "q4_k" => SuperAffine(values, 32, 15, 63),
        "q5_k" => SuperAffine(values, 32, 31, 63),
        "iq4_nl" => Each(values, 32, group => Tabled(group, (float)(Half)(Extreme(group) / -127))),
        // The power of two that OCP's document gives.
        "mxfp4" => Each(values, 32, group => Extreme(group) == 0 ? group : OnFloat4(group, Math.Pow(2, Math.Floor(Math.Log2(Math.Abs(Extreme(group)))) - 2))),
        "iq4_xs" => Each(values, 256, block =>
        {
            float d = (float)(Half)(block.Chunk(32).Select(group => Extreme(group) / -127).MaxBy(Math.Abs) / -32);
            return Each(block, 32, group => Tabled(group, d * Code(Extreme(group) / -127, d, -32, 31)));
        }),
        _ => throw new ArgumentException(name),
    };

    static float[] Each(float[] values, int size, Func<float[], float[]> round) => [.. values.Chunk(size).SelectMany(round)];

    static float Extreme(float[] group) => group.MaxBy(Math.Abs);

    static int Code(float value, float step, int least, int most) => step == 0 ? 0 : (int)Math.Clamp(Math.Round((double)value / step), least, most);

    static float[] Symmetric(float[] group, int least, int most, float step) => [.. group.Select(value => step * Code(value, step, least, most))];

    static float[] Affine(float[] group, int most, float step, float min) => [.. group.Select(value => step * Code(value + min, step, 0, most) - min)];

    static float[] Tabled(float[] group, float step) => [.. group.Select(value => step == 0 ? 0 : step * Table.MinBy(level => Math.Abs(value / step - level)))];

    static float[] OnFloat4(float[] group, double scale) => [.. group.Select(value => (float)(scale * Math.Sign(value) * Float4.MinBy(level => Math.Abs(Math.Abs(value) / scale - level))))];

    static float[] SuperSymmetric(float[] values, int size, int limit, int extreme, int least, int most) => Each(values, 256, block =>
    {
        float d = (float)(Half)(block.Chunk(size).Select(group => Extreme(group) / -extreme).MaxBy(Math.Abs) / -limit);
        return Each(block, size, group => Symmetric(group, least, most, d * Code(Extreme(group) / -extreme, d, -limit, limit - 1)));
    });

    static float[] SuperAffine(float[] values, int size, int most, int limit) => Each(values, 256, block =>
    {
        static float Low(float[] group) => -Math.Min(0, group.Min());
        float Step(float[] group) => (group.Max() + Low(group)) / most;
        float d = (float)(Half)(block.Chunk(size).Max(Step) / limit), dmin = (float)(Half)(block.Chunk(size).Max(Low) / limit);
        return Each(block, size, group => Affine(group, most, d * Code(Step(group), d, 0, limit), dmin * Code(Low(group), dmin, 0, limit)));
    });
}

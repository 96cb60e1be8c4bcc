namespace Coppice.Weights;

/// <summary>Tables that have a name in the field.</summary>
public static class LevelTables
{
    /// <summary>NormalFloat of 4 bits: 16 quantiles of a normal distribution, scaled to -1 to 1, 0 among them (Dettmers et al. 2023, appendix E).</summary>
    public static LevelTable Nf4 { get; } = new("nf4",
    [
        -1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0,
        0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1,
    ]);

    /// <summary>Floating point of 4 bits, e2m1: a sign, then 0, 0.5, 1, 1.5, 2, 3, 4, 6 (OCP Microscaling Formats 1.0).</summary>
    public static LevelTable Fp4 { get; } = new("fp4", [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6]);

    /// <summary>The 256 numbers of an 8-bit format by their bits; what is not finite there stands for 0. e5m2 reaches so far down that a group's largest magnitude goes to 1.75, which keeps scales large.</summary>
    public static LevelTable Of(Float8Format format) => format == Float8Format.E4M3 ? e4M3 : e5M2;

    /// <summary>-1, 0, 1 as the codes 2, 0, 1.</summary>
    public static LevelTable Ternary { get; } = new("ternary", [0, 1, -1]);

    /// <summary>-1 and 1 as the codes 0 and 1.</summary>
    public static LevelTable Binary { get; } = new("binary", [-1, 1]);

    /// <summary>0 and the powers 2^0, 2^-1 ... 2^(2 - 2^(bits-1)) of either sign: code 0, the positive ones downwards, then 0 again and the negative ones (Zhou et al. 2017).</summary>
    public static LevelTable PowersOfTwo(int bits)
    {
        int half = 1 << bits - 1;
        float[] levels = new float[2 * half];
        for (int code = 1; code < half; code++)
            levels[half + code] = -(levels[code] = MathF.ScaleB(1, 1 - code));
        return new($"pow2_{bits}", levels);
    }

    /// <summary>bitsandbytes' own 4-bit floating point: e2m1 with a 16th in place of its 0.5, over 6.</summary>
    public static LevelTable BitsAndBytesFp4 { get; } = new("fp4_bnb", [0, 0.0052083333f, 0.6666667f, 1, 0.33333334f, 0.5f, 0.16666667f, 0.25f, 0, -0.0052083333f, -0.6666667f, -1, -0.33333334f, -0.5f, -0.16666667f, -0.25f]);

    /// <summary>The table of these levels, by its name where it has one: what a file stores.</summary>
    public static LevelTable Known(ReadOnlySpan<float> levels)
    {
        foreach (LevelTable table in (ReadOnlySpan<LevelTable>)[Nf4, Fp4, e4M3, e5M2, Ternary, Binary, BitsAndBytesFp4, .. Enumerable.Range(2, 7).Select(PowersOfTwo)])
            if (table.Levels.SequenceEqual(levels))
                return table;
        LevelTable other = new("", levels);
        return new($"nonuniform{other.Bits}", levels, range: 1);
    }

    static readonly LevelTable e4M3 = Float8Table("f8_e4m3", Float8Format.E4M3, 448), e5M2 = Float8Table("f8_e5m2", Float8Format.E5M2, 1.75f);

    static LevelTable Float8Table(string name, Float8Format format, float range) => new(name, [.. Float8.Numbers(format).ToArray().Select(number => float.IsFinite(number) ? number : 0)], range);
}

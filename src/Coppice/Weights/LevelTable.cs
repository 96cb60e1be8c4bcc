using System.Numerics;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

/// <summary>The numbers that codes stand for before a group's scale: 2 to 256 levels in the order of codes, in any order by size. A level may be there twice; then its first code counts.</summary>
public sealed class LevelTable
{
    // What fits one vector is searched by one comparison.
    const int Small = 16;

    readonly float[] levels;
    // Halfway between neighbours by size, and the code of each stretch between them.
    readonly float[] middles;
    readonly byte[] codes;

    /// <summary>A table; <paramref name="range"/> is the level that a group's largest magnitude is scaled to, by default the largest one.</summary>
    public LevelTable(string name, ReadOnlySpan<float> levels, float? range = null)
    {
        if (levels.Length is < 2 or > 256)
            throw new ArgumentException($"LevelTable: {levels.Length} levels, wanted 2 to 256");
        foreach (float level in levels)
            if (!float.IsFinite(level))
                throw new ArgumentException($"LevelTable: the level {level}, wanted finite ones");
        (Name, this.levels) = (name, levels.ToArray());
        (float Level, int Code)[] sorted = [.. this.levels.Select((level, code) => (level, code)).DistinctBy(pair => pair.level).OrderBy(pair => pair.level)];
        codes = [.. sorted.Select(pair => (byte)pair.Code)];
        middles = [.. sorted.Zip(sorted.Skip(1), (low, high) => low.Level + (high.Level - low.Level) / 2)];
        if (codes.Length <= Small)
            middles = [.. middles, .. Enumerable.Repeat(float.PositiveInfinity, Small - middles.Length)];
        Range = range ?? this.levels.Max(Math.Abs);
        int zero = Array.IndexOf(this.levels, 0f);
        Zero = zero < 0 ? null : (byte)zero;
    }

    /// <summary>Its short name: <c>nf4</c>, <c>ternary</c> ...</summary>
    public string Name { get; }

    /// <summary>The level of each code.</summary>
    public ReadOnlySpan<float> Levels => levels;

    /// <summary>How many codes there are.</summary>
    public int Count => levels.Length;

    /// <summary>Bits that a code is stored in.</summary>
    public int Bits => BitOperations.Log2((uint)levels.Length - 1) + 1;

    /// <summary>The level that a group's largest magnitude is scaled to.</summary>
    public float Range { get; }

    /// <summary>The code of exactly 0, or null.</summary>
    public byte? Zero { get; }

    /// <summary>The code of the nearest level; halfway between two the smaller one's.</summary>
    public byte Nearest(float value)
    {
        if (codes.Length <= Small)
            return codes[BitOperations.PopCount((uint)Vector512.GreaterThan(Vector512.Create(value), Vector512.Create(middles)).ExtractMostSignificantBits())];
        int low = 0;
        for (int high = middles.Length; low < high;)
        {
            int middle = low + high >>> 1;
            if (value > middles[middle])
                low = middle + 1;
            else
                high = middle;
        }
        return codes[low];
    }
}

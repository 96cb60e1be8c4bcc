using System.Collections.Immutable;

namespace Coppice.Weights.Blocks;

/// <summary>What the numbers of a block type are made of: w = d s l[q] - dmin m, with halves d and dmin for the block, small whole numbers s and m for each group of weights, and a code q for each weight. Where there is a <see cref="Codebook"/> the codes of a run are a point of it.</summary>
/// <param name="GroupSize">Neighbouring weights that share an s and an m.</param>
/// <param name="Levels">l, the level of each code, ascending.</param>
public sealed record BlockShape(int GroupSize, ImmutableArray<sbyte> Levels)
{
    /// <summary>The least and the largest s; a block of one group has d alone.</summary>
    public (int Least, int Most) Scales { get; init; } = (1, 1);

    /// <summary>What one s is apart from the next.</summary>
    public int ScaleStep { get; init; } = 1;

    /// <summary>What d is multiplied by.</summary>
    public float UnitShare { get; init; } = 1;

    /// <summary>The vectors that runs of weights may be; null where each weight has its code by itself.</summary>
    public Codebook? Codebook { get; init; }

    /// <summary>The least and the largest m: none, those of groups, or always -1 where dmin is a smallest weight.</summary>
    public (int Least, int Most) Mins { get; init; } = (0, 0);

    /// <summary>Whether d is a power of two.</summary>
    public bool HasPowerOfTwoUnits { get; init; }

    /// <summary>The nearest d or dmin that is stored.</summary>
    public Half NearestUnit(double unit)
    {
        if (!HasPowerOfTwoUnits || !(unit > 0))
            return (Half)unit;
        double below = Math.ScaleB(1, Math.ILogB(unit));
        return (Half)(unit > 1.5 * below ? 2 * below : below);
    }

    /// <summary>Whether levels are whole numbers next to each other.</summary>
    public bool IsUniform { get; } = Levels[^1] - Levels[0] == Levels.Length - 1;

    /// <summary>All whole numbers from one to another.</summary>
    public static ImmutableArray<sbyte> Whole(int least, int most) => [.. Enumerable.Range(least, most - least + 1).Select(level => (sbyte)level)];
}

/// <summary>One block taken apart, in memory of the caller's: see <see cref="BlockShape"/>.</summary>
/// <param name="units">d and dmin.</param>
/// <param name="scales">s of each group.</param>
/// <param name="mins">m of each group.</param>
/// <param name="codes">q of each weight.</param>
public readonly ref struct BlockParts(Span<Half> units, Span<sbyte> scales, Span<sbyte> mins, Span<byte> codes)
{
    /// <summary>d and dmin.</summary>
    public Span<Half> Units { get; } = units;

    /// <summary>s of each group.</summary>
    public Span<sbyte> Scales { get; } = scales;

    /// <summary>m of each group.</summary>
    public Span<sbyte> Mins { get; } = mins;

    /// <summary>q of each weight.</summary>
    public Span<byte> Codes { get; } = codes;

    /// <summary>Sets what every block of one group has: s = 1, and m as given.</summary>
    internal void FillOneGroup(Half scale, Half minScale = default, sbyte min = 0)
    {
        (Units[0], Units[1]) = (scale, minScale);
        (Scales[0], Mins[0]) = (1, min);
    }
}

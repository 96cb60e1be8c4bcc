using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Which numbers a quantized weight can be, before its group's scale.</summary>
public enum GridLevels
{
    /// <summary>Whole numbers of 2 to 8 bits.</summary>
    Int,

    /// <summary><see cref="LevelTables.Nf4"/>.</summary>
    Nf4,

    /// <summary><see cref="LevelTables.Fp4"/>.</summary>
    Fp4,

    /// <summary>The same in groups of 32, whose scale is a power of two (OCP Microscaling Formats 1.0).</summary>
    MxFp4,

    /// <summary>8-bit floating point with 3 bits of mantissa.</summary>
    Fp8E4M3,

    /// <summary>8-bit floating point with 2 bits of mantissa.</summary>
    Fp8E5M2,

    /// <summary><see cref="LevelTables.PowersOfTwo"/> of 2 to 8 bits.</summary>
    PowerOfTwo,

    /// <summary>-1, 0 and 1 (Li et al. 2016).</summary>
    Ternary,

    /// <summary>-1 and 1 (Rastegari et al. 2016).</summary>
    Binary,

    /// <summary>2^bits levels that each matrix's numbers are clustered to, of 2 to 8 bits.</summary>
    NonUniform,
}

static class GridLevelsNames
{
    /// <summary>By their names in YAML.</summary>
    public static readonly (string Name, GridLevels Levels)[] All =
    [
        ("int", GridLevels.Int), ("nf4", GridLevels.Nf4), ("fp4", GridLevels.Fp4), ("mxfp4", GridLevels.MxFp4), ("fp8-e4m3", GridLevels.Fp8E4M3), ("fp8-e5m2", GridLevels.Fp8E5M2),
        ("powerOfTwo", GridLevels.PowerOfTwo), ("ternary", GridLevels.Ternary), ("binary", GridLevels.Binary), ("nonUniform", GridLevels.NonUniform),
    ];

    /// <summary>The name in YAML.</summary>
    public static string Name(this GridLevels levels) => Array.Find(All, pair => pair.Levels == levels).Name;

    /// <summary>The bits that its codes have whatever is asked for; null where they are a choice.</summary>
    public static int? Bits(this GridLevels levels) => levels switch
    {
        GridLevels.Nf4 or GridLevels.Fp4 or GridLevels.MxFp4 => 4,
        GridLevels.Fp8E4M3 or GridLevels.Fp8E5M2 => 8,
        GridLevels.Ternary => 2,
        GridLevels.Binary => 1,
        _ => null,
    };
}

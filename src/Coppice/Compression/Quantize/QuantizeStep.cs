using System.Globalization;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>A step that moves a matrix to a grid of 1 to 8 bits.</summary>
public abstract record QuantizeStep : WeightStep
{
    /// <summary>Which numbers the grid has.</summary>
    public GridLevels Levels { get; init; }

    /// <summary>Bits a code, 2 to 8, or what <see cref="Levels"/> prescribes.</summary>
    public int Bits { get; init; } = 4;

    /// <summary>Inputs that share a scale; they divide the matrix's inputs. <see cref="IntWeight.WholeRow"/>: all of a row; <see cref="Grid.WholeMatrix"/>: all of a matrix.</summary>
    public int GroupSize { get; init; } = 128;

    /// <summary>Whether whole numbers are centred on 0; otherwise each group has a zero point of its own.</summary>
    public bool Symmetric { get; init; } = true;

    /// <summary>How a group's range is chosen.</summary>
    public RangeFit Range { get; init; } = RangeFit.AbsMax;

    /// <summary>Of a group's numbers how many, in percent, <see cref="RangeFit.Percentile"/> keeps within the range.</summary>
    public double Percentile { get; init; } = 99.9;

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Quantize;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("grid", Levels.Name()),
        ("bits", Bits.ToString(CultureInfo.InvariantCulture)),
        ("groupSize", GroupSize == Grid.WholeMatrix ? "tensor" : GroupSize.ToString(CultureInfo.InvariantCulture)),
        ("symmetric", Symmetric ? "true" : "false"),
        ("range", Range switch { RangeFit.AbsMax => "absMax", RangeFit.SquaredError => "squaredError", RangeFit.Percentile => "percentile", _ => "kl" }),
        ("percentile", Percentile.ToString("R", CultureInfo.InvariantCulture)),
    ];

    /// <inheritdoc/>
    public override string? Refuses(int rows, int columns) => RefusesGroups(GroupSize, columns);

    /// <summary>Says why a row of so many inputs has no such groups, or null where it has.</summary>
    internal static string? RefusesGroups(int groupSize, int columns) => groupSize < 0 || columns % groupSize == 0
        ? null
        : $"groupSize {groupSize} does not divide its {columns} inputs; use {string.Join(", ", new[] { 128, 64, 32, 16 }.Where(size => columns % size == 0).Append(IntWeight.WholeRow))}";

    /// <summary>The same grid without what looks at inputs.</summary>
    private protected RoundToNearest ToNearest => new() { Levels = Levels, Bits = Bits, GroupSize = GroupSize, Symmetric = Symmetric, Range = Range, Percentile = Percentile };

    /// <summary>Fits groups' ranges, with the inputs' mean squares where they were measured.</summary>
    private protected GridRange RangeOf(LayerWork work) => RangeOf(ImportanceOf(work));

    /// <summary>The same with weights of the columns, or none.</summary>
    internal GridRange RangeOf(float[] importance) => new(Range, importance, Percentile);

    /// <summary>An empty grid for the matrix.</summary>
    private protected Grid NewGrid(LayerWork work)
    {
        Grid grid = NewGrid(work.Rows, work.Columns, work.Original, ImportanceOf(work), work.Mask);
        return work.Mask is null || grid.Levels is null or { Zero: not null } ? grid : throw new CoppiceException($"{work.Name}: {Key}: grid {Levels.Name()} has no 0 for what was pruned; take ternary, or 'ignore' the matrix");
    }

    /// <summary>An empty grid for weights [rows, columns], to which <see cref="GridLevels.NonUniform"/> fits its levels.</summary>
    internal Grid NewGrid(int rows, int columns, float[] weights, float[] importance, bool[]? mask) => Levels switch
    {
        GridLevels.Int => new(rows, columns, Bits, GroupSize, Symmetric),
        GridLevels.Nf4 => new(rows, columns, LevelTables.Nf4, GroupSize),
        GridLevels.Fp4 => new(rows, columns, LevelTables.Fp4, GroupSize),
        GridLevels.MxFp4 => new(rows, columns, LevelTables.Fp4, GroupSize, hasPowerOfTwoScales: true),
        GridLevels.Fp8E4M3 => new(rows, columns, LevelTables.Of(Float8Format.E4M3), GroupSize),
        GridLevels.Fp8E5M2 => new(rows, columns, LevelTables.Of(Float8Format.E5M2), GroupSize),
        GridLevels.PowerOfTwo => new(rows, columns, LevelTables.PowersOfTwo(Bits), GroupSize),
        GridLevels.Ternary => new(rows, columns, LevelTables.Ternary, GroupSize),
        GridLevels.Binary => new(rows, columns, LevelTables.Binary, GroupSize),
        _ => new(rows, columns, LevelClusters.Fit(weights, columns, GroupSize, Bits, importance, mask), GroupSize),
    };

    static float[] ImportanceOf(LayerWork work) => work.Inputs?.MeanSquares() ?? [];
}

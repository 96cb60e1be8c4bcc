using System.Globalization;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>A step that moves a matrix to a uniform grid of 2 to 8 bits.</summary>
public abstract record QuantizeStep : WeightStep
{
    /// <summary>Bits a code, 2 to 8.</summary>
    public int Bits { get; init; } = 4;

    /// <summary>Inputs that share a scale; they divide the matrix's inputs. <see cref="IntWeight.WholeRow"/>: all of a row.</summary>
    public int GroupSize { get; init; } = 128;

    /// <summary>Whether the grid is centred on 0; otherwise each group has a zero point of its own.</summary>
    public bool Symmetric { get; init; } = true;

    /// <summary>How a group's range is chosen.</summary>
    public RangeFit Range { get; init; } = RangeFit.AbsMax;

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Quantize;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("bits", Bits.ToString(CultureInfo.InvariantCulture)),
        ("groupSize", GroupSize.ToString(CultureInfo.InvariantCulture)),
        ("symmetric", Symmetric ? "true" : "false"),
        ("range", Range == RangeFit.AbsMax ? "absMax" : "squaredError"),
    ];

    /// <inheritdoc/>
    public override string? Refuses(int rows, int columns) => GroupSize == IntWeight.WholeRow || columns % GroupSize == 0
        ? null
        : $"groupSize {GroupSize} does not divide its {columns} inputs; use {string.Join(", ", new[] { 128, 64, 32, 16 }.Where(size => columns % size == 0).Append(IntWeight.WholeRow))}";

    /// <summary>Fits groups' ranges, with the inputs' mean squares where they were measured.</summary>
    private protected GridRange RangeOf(LayerWork work) => new(Range, work.Inputs is { } inputs ? [.. Enumerable.Range(0, work.Columns).Select(column => (float)inputs.MeanSquare(column))] : []);

    /// <summary>An empty grid for the matrix.</summary>
    private protected Grid NewGrid(LayerWork work) => new(work.Rows, work.Columns, Bits, GroupSize, Symmetric);
}

using System.Globalization;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression.Quantize;

/// <summary>Rounds to one of llama.cpp's block types.</summary>
public sealed record GgufBlock : WeightStep
{
    /// <inheritdoc/>
    public override string Key => "ggufBlock";

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Quantize;

    /// <summary>The block type.</summary>
    public BlockFormat Type { get; init; } = BlockFormat.Of<Q8_0>();

    /// <summary>What matrices become whose inputs are no multiple of <see cref="Type"/>'s length; null refuses them.</summary>
    public BlockFormat? Otherwise { get; init; }

    /// <summary>How a block's scales and codes are found.</summary>
    public BlockRounding Rounding { get; init; } = BlockRounding.Nearest;

    /// <summary>What <see cref="BlockRounding.Gptq"/> adds to the Gram matrix's diagonal, as a share of its mean; above 0.</summary>
    public double Dampening { get; init; } = 0.01;

    /// <summary>How often codes and scales are gone over once more after <see cref="BlockRounding.Gptq"/>.</summary>
    public int Sweeps { get; init; } = 4;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("type", Type.Name),
        ("otherwise", Otherwise?.Name ?? "none"),
        ("rounding", Rounding switch { BlockRounding.Nearest => "nearest", BlockRounding.Weighted => "weighted", _ => "gptq" }),
        .. Rounding == BlockRounding.Gptq ? [("dampening", Dampening.ToString("R", CultureInfo.InvariantCulture)), ("sweeps", Sweeps.ToString(CultureInfo.InvariantCulture))] : Array.Empty<(string, string)>(),
    ];

    /// <inheritdoc/>
    public override Statistics Needs => Rounding switch { BlockRounding.Nearest => Statistics.None, BlockRounding.Weighted => Statistics.ColumnNorms, _ => Statistics.Gram };

    /// <inheritdoc/>
    public override WeightStep WithoutInputs => this with { Rounding = BlockRounding.Nearest };

    /// <summary>The block type for a matrix of so many inputs, or null where it has none.</summary>
    public BlockFormat? For(int columns) => Fits(Type, columns) ? Type : Otherwise is { } other && Fits(other, columns) ? other : null;

    /// <summary>What the user should know about a matrix of so many inputs, if anything.</summary>
    public string? Warning(int columns) => For(columns) is { } chosen && chosen != Type ? $"stored as {chosen}: its {columns} inputs are no multiple of {Type.Size}, a {Type} block's length" : null;

    /// <inheritdoc/>
    public override string? Refuses(int rows, int columns) => For(columns) is not null
        ? null
        : $"its {columns} inputs are no multiple of {Type.Size}, a {Type} block's length; choose another type, or one for such matrices with 'otherwise' in a recipe: "
            + string.Join(", ", BlockFormat.All.Where(format => Fits(format, columns)).Select(format => format.Name).DefaultIfEmpty("none fits"));

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        BlockFormat format = For(work.Columns)!;
        if (work.Mask is not null && format.Shape.Codebook is not null)
            throw new CoppiceException($"{work.Name}: {Key}: type {format} has no 0 for what was pruned; take another type, or 'ignore' the matrix");
        work.Block = format;
        if (Rounding == BlockRounding.Weighted)
            work.Parts = BlockGrid.Search(work.Pool, format, work.Columns, work.Masked(), InputsOf(work).MeanSquares());
        else if (Rounding == BlockRounding.Gptq)
            work.Parts = BlockGptq.Solve(work, format, InputsOf(work), Dampening, Sweeps);
        if (Warning(work.Columns) is { } warning)
            work.Warnings.Add($"{work.Name}: {warning}");
    }

    static bool Fits(BlockFormat format, int columns) => columns % format.Size == 0;
}

/// <summary>How a block's scales and codes are found.</summary>
public enum BlockRounding
{
    /// <summary>By a search over the numbers alone.</summary>
    Nearest,

    /// <summary>By a search in which each number counts as much as its input's mean square.</summary>
    Weighted,

    /// <summary>By that search and GPTQ's error feedback.</summary>
    Gptq,
}

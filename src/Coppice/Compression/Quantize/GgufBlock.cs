using Coppice.Weights;

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

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("type", Type.Name), ("otherwise", Otherwise?.Name ?? "none")];

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
        work.Block = For(work.Columns);
        if (Warning(work.Columns) is { } warning)
            work.Warnings.Add($"{work.Name}: {warning}");
    }

    static bool Fits(BlockFormat format, int columns) => columns % format.Size == 0;
}

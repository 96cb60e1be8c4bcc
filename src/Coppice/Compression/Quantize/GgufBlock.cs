using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Rounds to llama.cpp's blocks of 32, exactly as llama.cpp does.</summary>
public sealed record GgufBlock : WeightStep
{
    /// <inheritdoc/>
    public override string Key => "ggufBlock";

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Quantize;

    /// <summary>The block type.</summary>
    public GgufType Type { get; init; } = GgufType.Q8_0;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("type", Type == GgufType.Q8_0 ? Q8_0.Name : Q4_0.Name)];

    /// <inheritdoc/>
    public override string? Refuses(int rows, int columns) =>
        columns % Q8_0.Size == 0 ? null : $"its {columns} inputs are no multiple of {Q8_0.Size}, a block's length";

    /// <inheritdoc/>
    public override void Apply(LayerWork work) => work.Block = Type;
}

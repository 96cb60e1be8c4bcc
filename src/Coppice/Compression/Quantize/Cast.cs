using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Stores a matrix as 16-bit floating-point numbers, to nearest. What no step rounds becomes f16 where it was f32 and stays as it is otherwise.</summary>
public sealed record Cast : WeightStep
{
    /// <inheritdoc/>
    public override string Key => "cast";

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Quantize;

    /// <summary>Which 16 bits.</summary>
    public HalfFormat Type { get; init; } = HalfFormat.Float16;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("type", Type == HalfFormat.Float16 ? "f16" : "bf16")];

    /// <inheritdoc/>
    public override void Apply(LayerWork work) => work.Half = Type;
}

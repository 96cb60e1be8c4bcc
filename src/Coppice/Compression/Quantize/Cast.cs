using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Stores a matrix in 16 bits a number, to nearest. What no step rounds becomes f16 where it was f32 and stays as it is otherwise.</summary>
public sealed record Cast : WeightStep
{
    /// <inheritdoc/>
    public override string Key => "cast";

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Quantize;

    /// <summary>Which 16 bits.</summary>
    public CastType Type { get; init; } = CastType.Float16;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("type", Type switch { CastType.Float16 => "f16", CastType.BFloat16 => "bf16", _ => "int16" })];

    /// <inheritdoc/>
    public override void Apply(LayerWork work) => work.Cast = Type;
}

/// <summary>Numbers of 16 bits.</summary>
public enum CastType
{
    /// <summary>See <see cref="HalfFormat.Float16"/>.</summary>
    Float16,

    /// <summary>See <see cref="HalfFormat.BFloat16"/>.</summary>
    BFloat16,

    /// <summary>Whole numbers with a scale a row.</summary>
    Int16,
}

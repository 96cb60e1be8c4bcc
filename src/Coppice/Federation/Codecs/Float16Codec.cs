using System.Numerics.Tensors;
using Coppice.Formats;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Codecs;

/// <summary>The delta in IEEE half, rounded to nearest: a relative error of 2^-11, below 6e-5 an absolute one of 3e-8.</summary>
public sealed class Float16Codec : PositionalCodec
{
    /// <inheritdoc/>
    public override string Name => "float16";

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.None;

    /// <inheritdoc/>
    public override UpdateKind Kind => UpdateKind.Delta;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random) => [.. trained.Map((name, after) =>
    {
        Tensor delta = new(after.Shape);
        TensorPrimitives.Subtract(after.Data, received.Tensors[name].Data, delta.Data);
        return delta;
    }).Sources(DType.F16)];

    /// <inheritdoc/>
    protected override IEnumerable<(string Name, DType Type, Shape Shape)> Parts(string name, Shape shape) => [(name, DType.F16, shape)];

    /// <inheritdoc/>
    public override void Decode(SafeTensors message, string name, int first, Span<float> values) => message.Find(name).ReadFinite(first, values);
}

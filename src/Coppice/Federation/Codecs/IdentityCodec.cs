using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Codecs;

/// <summary>The client's weights as float32, nothing lost. Weights and not deltas, so that one client's run is plain training bit for bit.</summary>
public sealed class IdentityCodec : PositionalCodec
{
    /// <inheritdoc/>
    public override string Name => "identity";

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Linear | CodecTraits.Unbiased;

    /// <inheritdoc/>
    public override UpdateKind Kind => UpdateKind.Weights;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random) => [.. trained.Sources(DType.F32)];

    /// <inheritdoc/>
    protected override IEnumerable<(string Name, DType Type, Shape Shape)> Parts(string name, Shape shape) => [(name, DType.F32, shape)];

    /// <inheritdoc/>
    public override void Decode(SafeTensors message, string name, int first, Span<float> values) => message.Find(name).ReadFinite(first, values);
}

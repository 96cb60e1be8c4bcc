using Coppice.Formats;

namespace Coppice.Federation.Codecs;

/// <summary>The client's weights as float32, nothing lost. Weights and not deltas, so that one client's run is plain training bit for bit.</summary>
public sealed class IdentityCodec : ICodec
{
    /// <inheritdoc/>
    public string Name => "identity";

    /// <inheritdoc/>
    public CodecTraits Traits => CodecTraits.Linear | CodecTraits.Unbiased;

    /// <inheritdoc/>
    public UpdateKind Kind => UpdateKind.Weights;

    /// <inheritdoc/>
    public IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random) => [.. trained.Sources(DType.F32)];

    /// <inheritdoc/>
    public ParameterSet Decode(SafeTensors message, ParameterSet model)
    {
        CodecChecks.Check(message, model.Tensors.Select(part => (part.Key, DType.F32, part.Value.Shape)));
        return model.Map((name, _) => message.ReadTensor(name));
    }
}

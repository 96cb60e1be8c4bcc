using System.Numerics.Tensors;
using Coppice.Formats;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Codecs;

/// <summary>The delta in IEEE half, rounded to nearest: a relative error of 2^-11, below 6e-5 an absolute one of 3e-8.</summary>
public sealed class Float16Codec : ICodec
{
    /// <inheritdoc/>
    public string Name => "float16";

    /// <inheritdoc/>
    public CodecTraits Traits => CodecTraits.None;

    /// <inheritdoc/>
    public UpdateKind Kind => UpdateKind.Delta;

    /// <inheritdoc/>
    public IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random) => [.. trained.Map((name, after) =>
    {
        Tensor delta = new(after.Shape);
        TensorPrimitives.Subtract(after.Data, received.Tensors[name].Data, delta.Data);
        return delta;
    }).Sources(DType.F16)];

    /// <inheritdoc/>
    public ParameterSet Decode(SafeTensors message, ParameterSet model)
    {
        CodecChecks.Check(message, model.Tensors.Select(part => (part.Key, DType.F16, part.Value.Shape)));
        return model.Map((name, _) => message.ReadTensor(name));
    }
}

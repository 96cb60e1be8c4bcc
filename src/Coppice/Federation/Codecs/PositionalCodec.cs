using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Codecs;

/// <summary>A codec each of whose numbers lies at a place of its own, so that any run of a tensor is decoded without the rest: a server never holds an update.</summary>
public abstract class PositionalCodec : ICodec
{
    /// <summary>Runs begin at a multiple of this in their tensor.</summary>
    public const int Alignment = 256;

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <inheritdoc/>
    public abstract CodecTraits Traits { get; }

    /// <inheritdoc/>
    public abstract UpdateKind Kind { get; }

    /// <inheritdoc/>
    public abstract IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random);

    /// <summary>The tensors that stand for one of the model's.</summary>
    protected abstract IEnumerable<(string Name, DType Type, Shape Shape)> Parts(string name, Shape shape);

    /// <summary>Throws unless a message has the tensors that a model with these calls for, and no other.</summary>
    /// <exception cref="CoppiceException">It is anything else; the message names the tensor.</exception>
    public void Check(SafeTensors message, IEnumerable<(string Name, Shape Shape)> model) => CodecChecks.Check(message, model.SelectMany(tensor => Parts(tensor.Name, tensor.Shape)));

    /// <summary>Decodes a run of a tensor of a checked message.</summary>
    /// <param name="message">A message that is not trusted.</param>
    /// <param name="name">The model's tensor.</param>
    /// <param name="first">Where in it the run begins, a multiple of <see cref="Alignment"/>.</param>
    /// <param name="values">Where its numbers go.</param>
    /// <exception cref="CoppiceException">A number is not finite, or nothing that the codec writes.</exception>
    public abstract void Decode(SafeTensors message, string name, int first, Span<float> values);

    /// <inheritdoc/>
    public ParameterSet Decode(SafeTensors message, ParameterSet model)
    {
        Check(message, model.Tensors.Select(part => (part.Key, part.Value.Shape)));
        return model.Map((name, like) =>
        {
            Tensor values = new(like.Shape);
            Decode(message, name, 0, values.Data);
            return values;
        });
    }
}

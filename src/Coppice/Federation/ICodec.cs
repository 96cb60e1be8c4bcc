using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>What a codec guarantees; what can be combined with it depends on this.</summary>
[Flags]
public enum CodecTraits
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The code of a sum is the sum of the codes, so encoded updates can be added.</summary>
    Linear = 1,

    /// <summary>The expected decoded value is the value encoded.</summary>
    Unbiased = 2,

    /// <summary>A client keeps what was lost and adds it to its next update (error feedback).</summary>
    Stateful = 4,
}

/// <summary>What the decoded numbers are.</summary>
public enum UpdateKind
{
    /// <summary>The client's weights themselves.</summary>
    Weights,

    /// <summary>The client's weights less those that it received.</summary>
    Delta,

    /// <summary>One where the client would keep a weight, zero where it would not: votes, not an update.</summary>
    Mask,
}

/// <summary>An update to the tensors of a message and back.</summary>
public interface ICodec
{
    /// <summary>The name in messages and on the command line, its parameters included.</summary>
    string Name { get; }

    /// <summary>What it guarantees.</summary>
    CodecTraits Traits { get; }

    /// <summary>What it sends.</summary>
    UpdateKind Kind { get; }

    /// <summary>Encodes <paramref name="trained"/>, given the weights <paramref name="received"/>.</summary>
    /// <param name="received">The round's model as the client got it.</param>
    /// <param name="trained">The client's weights after its local steps.</param>
    /// <param name="memory">What earlier updates lost, and afterwards what this one lost as well; null unless <see cref="CodecTraits.Stateful"/>.</param>
    /// <param name="random">Source of stochastic rounding.</param>
    IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random);

    /// <summary>What a client that takes part for the first time remembers; null unless <see cref="CodecTraits.Stateful"/>.</summary>
    ParameterSet? NewMemory(ParameterSet received) => Traits.HasFlag(CodecTraits.Stateful) ? received.Zeros() : null;

    /// <summary>Decodes a message that is not trusted: exactly the tensors that a model like <paramref name="model"/> calls for, all finite.</summary>
    /// <exception cref="CoppiceException">It is anything else; the message names the tensor.</exception>
    ParameterSet Decode(SafeTensors message, ParameterSet model);
}

using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What an encoder made of one or more source texts, for as many texts that a decoder continues.</summary>
public sealed class EncodedSource
{
    readonly Tensor states;
    readonly bool isKept;
    readonly Dictionary<int, (Tensor Keys, Tensor Values)> kept = [];

    internal EncodedSource(Tensor states, ReadOnlyMemory<Sequence> sequences, bool isKept, Dictionary<int, (Tensor Keys, Tensor Values)>? kept = null)
    {
        (this.states, Sequences, this.isKept) = (states, sequences, isKept);
        this.kept = kept ?? this.kept;
    }

    /// <summary>Where each text's source lies among all sources' tokens; two texts may have one source.</summary>
    public ReadOnlyMemory<Sequence> Sequences { get; }

    /// <summary>The one source for several texts.</summary>
    public EncodedSource Repeated(int texts) => Sequences.Length == 1
        ? new EncodedSource(states, Enumerable.Repeat(Sequences.Span[0], texts).ToArray(), isKept, kept)
        : throw new ArgumentException($"EncodedSource: {Sequences.Length} sources, wanted one to repeat");

    /// <summary>A block's keys and values of all sources' tokens; once for all passes, unless a tape wants the way back.</summary>
    internal (Tensor Keys, Tensor Values) KeysAndValues(int block, Func<Tensor, (Tensor Keys, Tensor Values)> compute, ForwardContext context)
    {
        if (!isKept || context.Tape is not null)
            return compute(states);
        if (!kept.TryGetValue(block, out (Tensor Keys, Tensor Values) found))
        {
            (Tensor keys, Tensor values) = compute(states);
            kept.Add(block, found = (Tensor.From(keys.Shape, keys.Data), Tensor.From(values.Shape, values.Data)));
        }
        return found;
    }
}

using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Token ids of one or more sequences, of any lengths, one after another. Reusable: <see cref="Clear"/> and <see cref="Add"/> allocate nothing once grown.</summary>
public sealed class Batch
{
    Sequence[] sequences = [];
    int[] tokens = [];
    int[] positions = [];
    int sequenceCount;
    int past;

    /// <summary>An empty batch.</summary>
    public Batch() { }

    /// <summary>A batch of one sequence.</summary>
    public Batch(ReadOnlySpan<int> sequence) => Add(sequence);

    /// <summary>All ids, sequence after sequence.</summary>
    public ReadOnlySpan<int> Tokens => tokens.AsSpan(0, Count);

    /// <summary>Each token's place in its sequence, counted on from <see cref="PlaceAfter"/>.</summary>
    internal ReadOnlyMemory<int> Positions => positions.AsMemory(0, Count);

    /// <summary>Says that every sequence continues this many tokens; none until said.</summary>
    internal void PlaceAfter(int tokens)
    {
        foreach (ref int position in positions.AsSpan(0, Count))
            position += tokens - past;
        past = tokens;
    }

    /// <summary>Ids in all sequences together.</summary>
    public int Count { get; private set; }

    /// <summary>Where each sequence lies in <see cref="Tokens"/>.</summary>
    public ReadOnlyMemory<Sequence> Sequences => sequences.AsMemory(0, sequenceCount);

    /// <summary>Removes all sequences.</summary>
    public void Clear() => (sequenceCount, Count, past) = (0, 0, 0);

    /// <summary>Appends a sequence of at least one id.</summary>
    public void Add(ReadOnlySpan<int> sequence)
    {
        if (sequence.IsEmpty)
            throw new ArgumentException("Batch: an empty sequence");
        if (Count + sequence.Length > tokens.Length)
        {
            Array.Resize(ref tokens, Math.Max(Count + sequence.Length, 2 * tokens.Length));
            Array.Resize(ref positions, tokens.Length);
        }
        if (sequenceCount == sequences.Length)
            Array.Resize(ref sequences, Math.Max(4, 2 * sequenceCount));
        sequence.CopyTo(tokens.AsSpan(Count));
        for (int t = 0; t < sequence.Length; t++)
            positions[Count + t] = past + t;
        sequences[sequenceCount++] = new Sequence(Count, sequence.Length);
        Count += sequence.Length;
    }
}

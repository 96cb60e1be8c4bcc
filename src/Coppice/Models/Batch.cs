using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Models;

/// <summary>
/// Token ids of one or more sequences, of any lengths, one after another: whole texts, or each the continuation of what a <see cref="KvCache"/> holds.
/// Reusable: <see cref="Clear"/> and <see cref="Add(ReadOnlySpan{int})"/> allocate nothing once grown.
/// </summary>
public sealed class Batch
{
    Sequence[] sequences = [];
    KvCache[] caches = [];
    CachedQueries[] queries = [];
    KeyValueBlock[] blocks = [];
    int[] logits = [];
    int[] tokens = [];
    int[] positions = [];
    int[] shifted = [];
    int[] types = [];
    int sequenceCount, cacheCount;

    /// <summary>An empty batch.</summary>
    public Batch() { }

    /// <summary>A batch of one sequence.</summary>
    public Batch(ReadOnlySpan<int> sequence) => Add(sequence);

    /// <summary>All ids, sequence after sequence.</summary>
    public ReadOnlySpan<int> Tokens => tokens.AsSpan(0, Count);

    /// <summary>The same, to be kept until the next change.</summary>
    internal ReadOnlyMemory<int> Ids => tokens.AsMemory(0, Count);

    /// <summary>Each token's place in its text.</summary>
    internal ReadOnlyMemory<int> Positions => positions.AsMemory(0, Count);

    /// <summary>Which part of its sequence each token belongs to: 0, or 1 for the second text of a pair.</summary>
    internal ReadOnlyMemory<int> Types => types.AsMemory(0, Count);

    /// <summary>Each token's place in its text plus <paramref name="first"/>, to be kept until the next change.</summary>
    internal ReadOnlyMemory<int> PositionsFrom(int first)
    {
        if (first == 0)
            return Positions;
        if (shifted.Length < positions.Length)
            Array.Resize(ref shifted, positions.Length);
        for (int i = 0; i < Count; i++)
            shifted[i] = positions[i] + first;
        return shifted.AsMemory(0, Count);
    }

    /// <summary>Ids in all sequences together.</summary>
    public int Count { get; private set; }

    /// <summary>Where each sequence lies in <see cref="Tokens"/>.</summary>
    public ReadOnlyMemory<Sequence> Sequences => sequences.AsMemory(0, sequenceCount);

    /// <summary>Of each sequence, how many of its last tokens <see cref="Model.ForwardWanted"/> gives logits for.</summary>
    public ReadOnlySpan<int> Logits => logits.AsSpan(0, sequenceCount);

    /// <summary>What each sequence continues; empty where they are whole texts.</summary>
    internal ReadOnlySpan<KvCache> Caches => caches.AsSpan(0, cacheCount);

    /// <summary>Where each sequence stands against its cache.</summary>
    internal ReadOnlySpan<CachedQueries> Queries => queries.AsSpan(0, cacheCount);

    /// <summary>Each cache's keys and values of one block of the model; valid until the next call.</summary>
    internal ReadOnlySpan<KeyValueBlock> CacheBlocks(int block)
    {
        for (int i = 0; i < cacheCount; i++)
            blocks[i] = caches[i][block];
        return blocks.AsSpan(0, cacheCount);
    }

    /// <summary>What the sequences' sources were encoded to, one for each, where the model translates.</summary>
    public EncodedSource? Source { get; set; }

    /// <summary>Removes all sequences, and their source.</summary>
    public void Clear()
    {
        Source = null;
        caches.AsSpan(0, cacheCount).Clear();
        blocks.AsSpan(0, cacheCount).Clear();
        (sequenceCount, cacheCount, Count) = (0, 0, 0);
    }

    /// <summary>Appends a whole text of at least one id.</summary>
    public void Add(ReadOnlySpan<int> sequence)
    {
        if (cacheCount > 0)
            throw new ArgumentException("Batch: a sequence without a cache among others that have one");
        Append(sequence, past: 0, wanted: 1);
    }

    /// <summary>Appends a pair of texts, of which the second begins at id <paramref name="second"/>, for models that tell them apart.</summary>
    public void AddPair(ReadOnlySpan<int> sequence, int second)
    {
        Add(sequence);
        types.AsSpan(Count - sequence.Length + second, sequence.Length - second).Fill(1);
    }

    /// <summary>Appends at least one id that continues what <paramref name="cache"/> holds. The next pass must be this batch's: it adds the ids to the cache.</summary>
    /// <param name="sequence">The ids.</param>
    /// <param name="cache">What came before; a cache stands in a batch once.</param>
    /// <param name="logits">Of how many of the last ids <see cref="Model.ForwardWanted"/> gives logits; 0 where more of a prompt is to come.</param>
    public void Add(ReadOnlySpan<int> sequence, KvCache cache, int logits = 1)
    {
        if (cacheCount < sequenceCount)
            throw new ArgumentException("Batch: a sequence with a cache among others that have none");
        if (Caches.Contains(cache))
            throw new ArgumentException("Batch: one cache for two sequences");
        if ((uint)logits > (uint)sequence.Length)
            throw new ArgumentOutOfRangeException(nameof(logits), $"Batch: logits of {logits} of {sequence.Length} ids");
        if (sequence.Length > cache.Capacity - cache.Length)
            throw new CoppiceException($"KV cache: {cache.Length} tokens held and {sequence.Length} more do not fit its {cache.Capacity}");
        Append(sequence, cache.Length, logits);
        if (cacheCount == caches.Length)
        {
            Array.Resize(ref caches, sequences.Length);
            Array.Resize(ref queries, sequences.Length);
            Array.Resize(ref blocks, sequences.Length);
        }
        (caches[cacheCount], queries[cacheCount]) = (cache, new CachedQueries(sequences[sequenceCount - 1], cache.Length));
        cacheCount++;
    }

    void Append(ReadOnlySpan<int> sequence, int past, int wanted)
    {
        if (sequence.IsEmpty)
            throw new ArgumentException("Batch: an empty sequence");
        if (Count + sequence.Length > tokens.Length)
        {
            Array.Resize(ref tokens, Math.Max(Count + sequence.Length, 2 * tokens.Length));
            Array.Resize(ref positions, tokens.Length);
            Array.Resize(ref types, tokens.Length);
        }
        if (sequenceCount == sequences.Length)
        {
            Array.Resize(ref sequences, Math.Max(4, 2 * sequenceCount));
            Array.Resize(ref logits, sequences.Length);
        }
        sequence.CopyTo(tokens.AsSpan(Count));
        types.AsSpan(Count, sequence.Length).Clear();
        for (int t = 0; t < sequence.Length; t++)
            positions[Count + t] = past + t;
        logits[sequenceCount] = wanted;
        sequences[sequenceCount++] = new Sequence(Count, sequence.Length);
        Count += sequence.Length;
    }
}

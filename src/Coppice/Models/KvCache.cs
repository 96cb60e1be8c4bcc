using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Keys and values of one text's tokens so far, and the tokens themselves. Not thread-safe.</summary>
public sealed class KvCache
{
    readonly KeyValueBlock[] blocks;
    readonly int[] tokens;

    /// <summary>An empty cache for <paramref name="capacity"/> tokens. Memory is taken now, but the system gives it only as tokens come.</summary>
    /// <exception cref="CoppiceException">One block's part is more than an array can hold.</exception>
    public KvCache(Model model, int capacity, KeyValueFormat format = KeyValueFormat.Float16)
    {
        if (!model.IsCausal)
            throw new CoppiceException($"a {model.Family} model reads whole texts and continues none");
        if (capacity < 1 || capacity > model.ContextLength)
            throw new ArgumentOutOfRangeException(nameof(capacity), $"KvCache: {capacity} tokens, the model holds 1 to {model.ContextLength}");
        (Format, BytesPerToken, tokens) = (format, PerToken(model, format), new int[capacity]);
        blocks = [.. model.Blocks.Select(block => new KeyValueBlock(format, block.Attention.KeyValueHeads, block.Attention.HeadWidth, capacity))];
    }

    /// <summary>How numbers are kept.</summary>
    public KeyValueFormat Format { get; }

    /// <summary>The most tokens that fit.</summary>
    public int Capacity => tokens.Length;

    /// <summary>Tokens held.</summary>
    public int Length { get; private set; }

    /// <summary>The tokens whose keys and values are held, in order.</summary>
    public ReadOnlySpan<int> Tokens => tokens.AsSpan(0, Length);

    /// <summary>Bytes of one token's keys and values in all blocks.</summary>
    public long BytesPerToken { get; }

    /// <summary>Bytes of all keys and values at full capacity.</summary>
    public long ByteCount => BytesPerToken * Capacity + blocks.Sum(block => KeyValueBlock.FixedBytes(Format, block.Heads, block.Width));

    /// <summary>Bytes that one token of context takes in a model's cache.</summary>
    public static long PerToken(Model model, KeyValueFormat format) =>
        model.Blocks.Sum(block => KeyValueBlock.BytesPerToken(format, block.Attention.KeyValueHeads, block.Attention.HeadWidth));

    /// <summary>Forgets all tokens from <paramref name="length"/> on, and with <see cref="KeyValueFormat.Int4"/> those before it in a group of 32 of which only codes are left: read <see cref="Length"/>.</summary>
    public void Truncate(int length)
    {
        if ((uint)length > (uint)Length)
            throw new ArgumentOutOfRangeException(nameof(length), $"KvCache: cannot cut {Length} tokens to {length}");
        Length = blocks.Length == 0 ? length : blocks[0].Reachable(length);
    }

    /// <summary>Forgets all, and takes over what another cache of the same model, format and capacity holds.</summary>
    public void CopyFrom(KvCache other)
    {
        if (other.blocks.Length != blocks.Length || other.Capacity != Capacity)
            throw new ArgumentException($"KvCache: {other.blocks.Length} blocks of {other.Capacity} tokens for {blocks.Length} of {Capacity}");
        for (int i = 0; i < blocks.Length; i++)
            blocks[i].CopyFrom(other.blocks[i], other.Length);
        other.Tokens.CopyTo(tokens);
        Length = other.Length;
    }

    /// <summary>How many tokens at the start of <paramref name="text"/> are held already.</summary>
    public int SharedPrefix(ReadOnlySpan<int> text) => Tokens.CommonPrefixLength(text);

    /// <summary>Keys and values of one block.</summary>
    internal KeyValueBlock this[int block] => blocks[block];

    /// <summary>Counts tokens whose keys and values every block has now.</summary>
    internal void Advance(ReadOnlySpan<int> added)
    {
        added.CopyTo(tokens.AsSpan(Length));
        Length += added.Length;
    }
}

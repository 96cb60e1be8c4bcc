using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Keys and values of the tokens so far, a pair of [capacity, key-value width] tensors a block.</summary>
public sealed class KvCache
{
    readonly (Tensor Keys, Tensor Values)[] blocks;

    /// <summary>An empty cache for <paramref name="capacity"/> tokens.</summary>
    public KvCache(Model model, int capacity)
    {
        if (capacity < 1 || capacity > model.ContextLength)
            throw new ArgumentOutOfRangeException(nameof(capacity), $"KvCache: {capacity} tokens, the model holds 1 to {model.ContextLength}");
        Capacity = capacity;
        blocks = [.. model.Blocks.Select(block => (Room(block), Room(block)))];
        Tensor Room(TransformerBlock block) => new([capacity, block.Attention.KeyValueWidth]);
    }

    /// <summary>The most tokens that fit.</summary>
    public int Capacity { get; }

    /// <summary>Tokens held.</summary>
    public int Length { get; private set; }

    /// <summary>Bytes of all keys and values at full capacity.</summary>
    public long ByteCount => blocks.Sum(block => 4L * (block.Keys.Shape.Length + block.Values.Shape.Length));

    /// <summary>Forgets all tokens from <paramref name="length"/> on.</summary>
    public void Truncate(int length)
    {
        if ((uint)length > (uint)Length)
            throw new ArgumentOutOfRangeException(nameof(length), $"KvCache: cannot cut {Length} tokens to {length}");
        Length = length;
    }

    /// <summary>Writes k and v [tokens, key-value width] behind what a block holds and returns all of that block; <see cref="Advance"/> makes it count.</summary>
    internal (Tensor Keys, Tensor Values) Append(int block, Tensor k, Tensor v)
    {
        int tokens = k.Shape.Rows, width = k.Shape.Columns;
        if (Length + tokens > Capacity)
            throw new CoppiceException($"KV cache: {Length} tokens held and {tokens} more do not fit its {Capacity}");
        k.Data.CopyTo(blocks[block].Keys.Data[(Length * width)..]);
        v.Data.CopyTo(blocks[block].Values.Data[(Length * width)..]);
        return blocks[block];
    }

    /// <summary>Counts tokens that every block has appended.</summary>
    internal void Advance(int tokens) => Length += tokens;
}

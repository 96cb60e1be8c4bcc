using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Training;

/// <summary>Text as one long run of token ids, cut into windows that an epoch visits once each in a seeded order. The window of a place depends on seed and place alone, so a run resumes anywhere.</summary>
public sealed class TokenWindows
{
    readonly int[] tokens;
    readonly int length;
    readonly int seed;
    int[] order = [];
    int orderEpoch = -1;
    int offset;

    /// <summary>Windows of <paramref name="length"/> inputs and their next tokens over <paramref name="tokens"/>.</summary>
    public TokenWindows(int[] tokens, int length, int seed)
    {
        if (tokens.Length < 2L * length + 1)
            throw new CoppiceException($"Training text: {tokens.Length:N0} tokens, wanted at least {2L * length + 1:N0} for windows of {length}");
        (this.tokens, this.length, this.seed) = (tokens, length, seed);
    }

    /// <summary>All documents' ids in a row, each with the tokenizer's BOS before it where it has one.</summary>
    public static int[] Tokenize(Tokenizer tokenizer, IEnumerable<Document> documents)
    {
        List<int> ids = [];
        foreach (Document document in documents)
        {
            if (tokenizer.BosId is { } bos)
                ids.Add(bos);
            tokenizer.Encode(document.Text, ids);
        }
        return [.. ids];
    }

    /// <summary>Windows in an epoch. One window's worth of text is spared, so that each epoch can start at a place of its own.</summary>
    public int Count => (tokens.Length - 1 - length) / length;

    /// <summary>Tokens in all.</summary>
    public int TokenCount => tokens.Length;

    /// <summary>Names the text in checkpoints: SHA-256 of the ids.</summary>
    public string Hash() => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(tokens.AsSpan())));

    /// <summary>Fills a batch with the windows at places <paramref name="first"/> on, and the targets: each input's next token.</summary>
    public void Fill(long first, int count, Batch batch, Span<int> targets)
    {
        batch.Clear();
        for (int i = 0; i < count; i++)
        {
            int start = StartOf(first + i);
            batch.Add(tokens.AsSpan(start, length));
            tokens.AsSpan(start + 1, length).CopyTo(targets.Slice(i * length, length));
        }
    }

    int StartOf(long place)
    {
        int epoch = (int)(place / Count);
        if (epoch != orderEpoch)
        {
            if (order.Length != Count)
                order = new int[Count];
            for (int i = 0; i < order.Length; i++)
                order[i] = i;
            Random random = new(unchecked(seed * 1_000_003 + epoch));
            random.Shuffle(order);
            offset = random.Next(length);
            orderEpoch = epoch;
        }
        return order[place % Count] * length + offset;
    }
}

using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>One text that grows: its tokens, the cache of those that the model has read, and what draws the next. The cache is never ahead of the text but for <see cref="Ready"/> tokens.</summary>
sealed class Continuation(KvCache cache, int[] tokens, Sampler sampler, int? endToken)
{
    /// <summary>Tokens of the prompt that are read in one pass, so that memory does not grow with the prompt and others are not kept waiting.</summary>
    public const int ChunkTokens = 512;

    public KvCache Cache => cache;

    public Sampler Sampler => sampler;

    /// <summary>Tokens of the text.</summary>
    public int Count { get; private set; }

    /// <summary>Tokens decided behind <see cref="Count"/> and not handed out yet.</summary>
    public int Ready { get; private set; }

    public StopReason Stop { get; set; }

    public ReadOnlySpan<int> Tokens => tokens.AsSpan(0, Count);

    /// <summary>Tokens that the model has not read.</summary>
    public ReadOnlySpan<int> Unread => tokens.AsSpan(cache.Length, Math.Max(0, Count - cache.Length));

    /// <summary>The most tokens that text and prompt may have.</summary>
    public int Capacity => tokens.Length;

    /// <summary>Forgets the text; what the cache holds may still serve the next, by <see cref="Restart"/>.</summary>
    public void Clear() => (Count, Ready, Stop) = (0, 0, StopReason.None);

    /// <summary>Begins a text of which the cache may hold the start; returns how many tokens it holds.</summary>
    /// <exception cref="CoppiceException">The prompt does not fit.</exception>
    public int Restart(ReadOnlySpan<int> prompt)
    {
        Clear();
        Check(prompt);
        // The last token is always read: its logits are wanted.
        cache.Truncate(Math.Min(cache.SharedPrefix(prompt), prompt.Length - 1));
        Take(prompt);
        return cache.Length;
    }

    /// <summary>Appends a prompt.</summary>
    /// <exception cref="CoppiceException">It does not fit.</exception>
    public void Append(ReadOnlySpan<int> prompt)
    {
        Check(prompt);
        Forget();
        Take(prompt);
    }

    void Check(ReadOnlySpan<int> prompt)
    {
        if (prompt.IsEmpty)
            throw new ArgumentException("Generator: an empty prompt; start with the tokenizer's BOS");
        if (prompt.Length > Capacity - Count)
            throw new CoppiceException(Count == 0
                ? $"The prompt has {prompt.Length:N0} tokens, the context holds {Capacity:N0}: shorten it"
                : $"The prompt has {prompt.Length:N0} tokens behind {Count:N0} others, the context holds {Capacity:N0}: shorten it or start anew");
    }

    void Take(ReadOnlySpan<int> prompt)
    {
        prompt.CopyTo(tokens.AsSpan(Count));
        Count += prompt.Length;
        Stop = StopReason.None;
    }

    /// <summary>Puts up to <paramref name="most"/> unread tokens into a batch; true where they are all, and logits come of it.</summary>
    public bool AddTo(Batch batch, int most)
    {
        ReadOnlySpan<int> unread = Unread;
        bool isLast = unread.Length <= most;
        batch.Add(isLast ? unread : unread[..most], cache, isLast ? 1 : 0);
        return isLast;
    }

    /// <summary>Whether another token may come; if not, <see cref="Stop"/> says why.</summary>
    public bool MayGoOn()
    {
        if (Count == Capacity && Stop == StopReason.None)
            Stop = StopReason.ContextFull;
        return Stop == StopReason.None;
    }

    /// <summary>Cache and tokens, for another text.</summary>
    public (KvCache Cache, int[] Tokens) Release() => (cache, tokens);

    /// <summary>A place for a token that was decided after those that are ready.</summary>
    public void Decide(int token) => tokens[Count + Ready++] = token;

    /// <summary>Hands out the next token that is ready; false if it is the end.</summary>
    public bool Take(out int token)
    {
        token = tokens[Count];
        if (token == endToken)
        {
            Forget();
            Stop = StopReason.EndToken;
            token = -1;
            return false;
        }
        (Count, Ready) = (Count + 1, Ready - 1);
        return true;
    }

    // Tokens that nobody took are not part of the text.
    void Forget()
    {
        Ready = 0;
        cache.Truncate(Math.Min(cache.Length, Count));
    }
}

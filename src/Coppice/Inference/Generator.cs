using System.Diagnostics;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>Why no more tokens came.</summary>
public enum StopReason
{
    /// <summary>Generation has not ended.</summary>
    None,

    /// <summary>The end token was drawn; it is not handed out.</summary>
    EndToken,

    /// <summary>As many tokens were asked for.</summary>
    MaxTokens,

    /// <summary>Prompt and text fill the context.</summary>
    ContextFull,
}

/// <summary>
/// Continues a text token by token with a key-value cache. All memory is taken by the constructor and the first <see cref="Prefill"/>; after
/// it a token allocates nothing. Not thread-safe.
/// </summary>
public sealed class Generator
{
    readonly Model model;
    readonly Sampler sampler;
    readonly int? endToken;
    readonly ForwardContext context;
    readonly KvCache cache;
    readonly Batch batch = new();
    readonly int[] tokens;
    readonly double[] seconds;
    Tensor? logits;

    /// <param name="model">What computes the logits.</param>
    /// <param name="sampler">What draws from them.</param>
    /// <param name="pool">Threads.</param>
    /// <param name="endToken">The tokenizer's EOS, at which the text ends; null goes on.</param>
    /// <param name="capacity">The most tokens of prompt and text together; the model's context length by default.</param>
    public Generator(Model model, Sampler sampler, WorkerPool pool, int? endToken = null, int? capacity = null)
    {
        (this.model, this.sampler, this.endToken) = (model, sampler, endToken);
        cache = new KvCache(model, capacity ?? model.ContextLength);
        context = new ForwardContext(pool) { Cache = cache };
        tokens = new int[cache.Capacity];
        seconds = new double[cache.Capacity];
    }

    /// <summary>The prompt and what was generated, in order.</summary>
    public ReadOnlySpan<int> Tokens => tokens.AsSpan(0, Count);

    /// <summary>How many tokens <see cref="Tokens"/> has.</summary>
    public int Count { get; private set; }

    /// <summary>Why the last <see cref="Next"/> or <see cref="Generate"/> gave no token.</summary>
    public StopReason Stop { get; private set; }

    /// <summary>Bytes of the key-value cache.</summary>
    public long CacheBytes => cache.ByteCount;

    /// <summary>Logits [vocabulary] of the last token read; valid until the next call.</summary>
    public ReadOnlySpan<float> Logits => logits is null ? default : logits.Data;

    /// <summary>Forgets the text.</summary>
    public void Reset()
    {
        cache.Truncate(0);
        (Count, Stop, logits) = (0, StopReason.None, null);
    }

    /// <summary>Reads a prompt of at least one token, behind the text so far.</summary>
    /// <exception cref="CoppiceException">It does not fit the context.</exception>
    public void Prefill(ReadOnlySpan<int> prompt)
    {
        if (prompt.IsEmpty)
            throw new ArgumentException("Generator: an empty prompt; start with the tokenizer's BOS");
        if (prompt.Length > tokens.Length - Count)
            throw new CoppiceException(Count == 0
                ? $"The prompt has {prompt.Length:N0} tokens, the context holds {tokens.Length:N0}: shorten it"
                : $"The prompt has {prompt.Length:N0} tokens behind {Count:N0} others, the context holds {tokens.Length:N0}: shorten it or start anew");
        prompt.CopyTo(tokens.AsSpan(Count));
        Count += prompt.Length;
        Stop = StopReason.None;
        Read();
    }

    /// <summary>Draws the next token; false at the end of the text, with the reason in <see cref="Stop"/>.</summary>
    public bool Next(out int token)
    {
        token = -1;
        if (Count == 0)
            throw new InvalidOperationException("Generator: no prompt was read; call Prefill first");
        if (Stop == StopReason.EndToken)
            return false;
        if (Count == tokens.Length)
        {
            Stop = StopReason.ContextFull;
            return false;
        }
        // The last token handed out is read only now: a text that ends needs no pass for its last token.
        if (cache.Length < Count)
            Read();
        token = sampler.Next(logits!.Data);
        if (token == endToken)
        {
            Stop = StopReason.EndToken;
            return false;
        }
        tokens[Count++] = token;
        return true;
    }

    /// <summary>Reads <paramref name="prompt"/> and hands each new token to <paramref name="onToken"/> until an end, <paramref name="maxTokens"/> or the full context.</summary>
    /// <returns>The time of each token; the reason of the end is in <see cref="Stop"/>.</returns>
    /// <exception cref="CoppiceException">The prompt does not fit the context.</exception>
    public GenerationTiming Generate(ReadOnlySpan<int> prompt, int maxTokens, Action<int>? onToken = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxTokens);
        int made = 0;
        long start = Stopwatch.GetTimestamp();
        Prefill(prompt);
        while (made < maxTokens && Next(out int token))
        {
            seconds[made++] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            onToken?.Invoke(token);
            cancel.ThrowIfCancellationRequested();
            start = Stopwatch.GetTimestamp();
        }
        if (Stop == StopReason.None)
            Stop = StopReason.MaxTokens;
        return new GenerationTiming(prompt.Length, seconds.AsSpan(0, made));
    }

    // One pass over every token that the cache does not hold yet.
    void Read()
    {
        context.Reset();
        batch.Clear();
        batch.Add(tokens.AsSpan(cache.Length, Count - cache.Length));
        logits = model.ForwardLast(batch, context);
    }
}

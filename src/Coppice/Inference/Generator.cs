using System.Diagnostics;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Inference;

/// <summary>
/// Continues a text token by token with a key-value cache. All memory is taken by the constructor and the first <see cref="Prefill"/>; after
/// it a token allocates nothing. Not thread-safe. <see cref="GenerationEngine"/> continues several at once.
/// </summary>
public sealed class Generator
{
    Model model;
    readonly ForwardContext context;
    readonly Continuation text;
    readonly Speculation? speculation;
    readonly Batch batch = new();
    readonly double[] seconds;
    Tensor? logits;

    /// <param name="model">What computes the logits.</param>
    /// <param name="sampler">What draws from them.</param>
    /// <param name="pool">Threads.</param>
    /// <param name="endToken">The tokenizer's EOS, at which the text ends; null goes on.</param>
    /// <param name="capacity">The most tokens of prompt and text together; the model's context length by default.</param>
    /// <param name="cache">How keys and values are kept.</param>
    /// <param name="activations">What integer matrices round their inputs to: bytes by default, as other runtimes do; float32 gives the logits of an evaluation.</param>
    /// <param name="draft">A faster model that guesses ahead; the text, or its distribution, stays that of <paramref name="model"/>.</param>
    /// <exception cref="CoppiceException">The draft has another vocabulary or a shorter context.</exception>
    public Generator(
        Model model, Sampler sampler, WorkerPool pool, int? endToken = null, int? capacity = null, KeyValueFormat cache = KeyValueFormat.Float16,
        ActivationFormat activations = ActivationFormat.Int8, DraftOptions? draft = null)
    {
        this.model = model;
        KvCache held = new(model, capacity ?? model.ContextLength, cache);
        text = new Continuation(held, new int[held.Capacity], sampler, endToken);
        context = new ForwardContext(pool) { Activations = activations };
        seconds = new double[held.Capacity];
        speculation = draft is null ? null : new Speculation(model, text, draft, pool, cache, activations);
    }

    /// <summary>The prompt and what was generated, in order.</summary>
    public ReadOnlySpan<int> Tokens => text.Tokens;

    /// <summary>How many tokens <see cref="Tokens"/> has.</summary>
    public int Count => text.Count;

    /// <summary>Why the last <see cref="Next"/> or <see cref="Generate"/> gave no token.</summary>
    public StopReason Stop => text.Stop;

    /// <summary>Bytes of the key-value cache.</summary>
    public long CacheBytes => text.Cache.ByteCount;

    /// <summary>What decides, while <see cref="Generate"/> runs, which variant of the model computes the next token; null leaves that to <see cref="SwitchTo"/>.</summary>
    public PrecisionLadder? Ladder { get; init; }

    /// <summary>Has another variant of the model compute from the next token on. Keys and values stay: those of earlier tokens are the earlier variant's.</summary>
    /// <exception cref="CoppiceException">It does not fit the cache, or there is a draft, which guesses for one model.</exception>
    public void SwitchTo(Model other)
    {
        if (speculation is not null)
            throw new CoppiceException("a draft guesses for one model: switch without one");
        PrecisionLadder.Check(model, other, other.Family);
        model = other;
    }

    /// <summary>Logits [vocabulary] of the last token read; valid until the next call.</summary>
    public ReadOnlySpan<float> Logits => logits is null ? default : logits.Data[^model.VocabularySize..];

    /// <summary>Tokens that the draft guessed, and how many of them the model took; zeros without a draft.</summary>
    public (long Guessed, long Accepted) Drafted => speculation is null ? (0, 0) : (speculation.Guessed, speculation.Accepted);

    /// <summary>Forgets the text and all that was computed of it.</summary>
    public void Reset()
    {
        text.Clear();
        text.Cache.Truncate(0);
        logits = null;
    }

    /// <summary>Starts a new text with a prompt of at least one token, of which only what differs from the text before is read.</summary>
    /// <returns>How many tokens did not have to be read.</returns>
    /// <exception cref="CoppiceException">It does not fit the context.</exception>
    public int Restart(ReadOnlySpan<int> prompt)
    {
        int reused = text.Restart(prompt);
        Read(default);
        return reused;
    }

    /// <summary>Reads a prompt of at least one token, behind the text so far, in chunks that do not change the result.</summary>
    /// <exception cref="CoppiceException">It does not fit the context.</exception>
    public void Prefill(ReadOnlySpan<int> prompt, CancellationToken cancel = default)
    {
        text.Append(prompt);
        Read(cancel);
    }

    /// <summary>Draws the next token; false at the end of the text, with the reason in <see cref="Stop"/>.</summary>
    public bool Next(out int token)
    {
        token = -1;
        if (Count == 0)
            throw new InvalidOperationException("Generator: no prompt was read; call Prefill first");
        if (!text.MayGoOn())
            return false;
        if (text.Ready == 0)
            Decide();
        return text.Take(out token);
    }

    /// <summary>Reads <paramref name="prompt"/> and hands each new token to <paramref name="onToken"/> until an end, <paramref name="maxTokens"/> or the full context.</summary>
    /// <returns>The time of each token; the reason of the end is in <see cref="Stop"/>.</returns>
    /// <exception cref="CoppiceException">The prompt does not fit the context.</exception>
    public GenerationTiming Generate(ReadOnlySpan<int> prompt, int maxTokens, Action<int>? onToken = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxTokens);
        int made = 0;
        long start = Stopwatch.GetTimestamp();
        Prefill(prompt, cancel);
        while (made < maxTokens && Next(out int token))
        {
            seconds[made++] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            // The first token's time is the prompt's.
            if (made > 1 && Ladder is not null && Ladder.Observe(seconds[made - 1]))
                SwitchTo(Ladder.Model);
            onToken?.Invoke(token);
            cancel.ThrowIfCancellationRequested();
            start = Stopwatch.GetTimestamp();
        }
        if (Stop == StopReason.None)
            text.Stop = StopReason.MaxTokens;
        return new GenerationTiming(prompt.Length, seconds.AsSpan(0, made));
    }

    // One token or, with a draft, one or more. The last token handed out is read only now: a text that ends needs no pass for its last token.
    void Decide()
    {
        bool isRead = text.Unread.IsEmpty;
        if (!isRead && speculation is not null && speculation.HasRoom)
        {
            logits = speculation.Decide(batch, context);
            return;
        }
        if (!isRead)
            Read(default);
        text.Decide(text.Sampler.Next(Logits));
    }

    // Passes over every token that the cache does not hold yet.
    void Read(CancellationToken cancel)
    {
        bool isLast;
        do
        {
            cancel.ThrowIfCancellationRequested();
            context.Reset();
            batch.Clear();
            isLast = text.AddTo(batch, Continuation.ChunkTokens);
            logits = model.ForwardWanted(batch, context);
        }
        while (!isLast);
    }
}

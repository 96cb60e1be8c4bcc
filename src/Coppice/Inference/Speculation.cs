using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Inference;

/// <summary>
/// Speculative decoding (Leviathan et al. 2023): a draft model guesses a few tokens, the model checks them in one pass, whose logits have the bits
/// of one pass a token. Greedy text is the model's own; drawn text has exactly its distribution.
/// </summary>
sealed class Speculation
{
    const int MostTokens = 64;

    readonly Model model;
    readonly Continuation text;
    readonly Model draft;
    readonly int most;
    readonly KvCache draftCache;
    readonly ForwardContext draftContext;
    readonly Batch draftBatch = new();
    readonly int[] guesses;
    readonly double[][] guessDistributions;

    /// <exception cref="CoppiceException">The draft has another vocabulary or a shorter context.</exception>
    public Speculation(Model model, Continuation text, DraftOptions options, WorkerPool pool, KeyValueFormat format, ActivationFormat activations)
    {
        (this.model, this.text, draft, most) = (model, text, options.Model, options.Tokens);
        if (most is < 1 or > MostTokens)
            throw new CoppiceException($"Draft: {most} tokens at a time, wanted 1 to {MostTokens}");
        if (draft.VocabularySize != model.VocabularySize)
            throw new CoppiceException($"Draft: a vocabulary of {draft.VocabularySize:N0}, the model has {model.VocabularySize:N0}; they do not belong together");
        if (draft.ContextLength < text.Capacity)
            throw new CoppiceException($"Draft: a context of {draft.ContextLength:N0} tokens, wanted {text.Capacity:N0}");
        draftCache = new KvCache(draft, text.Capacity, format);
        draftContext = new ForwardContext(pool) { Activations = activations };
        guesses = new int[most];
        guessDistributions = [.. Enumerable.Range(0, text.Sampler.IsGreedy ? 0 : most).Select(_ => new double[model.VocabularySize])];
    }

    /// <summary>Tokens guessed so far.</summary>
    public long Guessed { get; private set; }

    /// <summary>Of them, those that the model took.</summary>
    public long Accepted { get; private set; }

    /// <summary>Whether the context holds a guess and the token after it.</summary>
    public bool HasRoom => text.Capacity - text.Count >= 2;

    /// <summary>Decides one to <see cref="DraftOptions.Tokens"/> + 1 tokens; returns the model's logits, one row for each guess and one more.</summary>
    public Tensor Decide(Batch batch, ForwardContext context)
    {
        int count = Guess();
        context.Reset();
        batch.Clear();
        ReadOnlySpan<int> unread = text.Unread;
        Span<int> read = stackalloc int[Continuation.ChunkTokens];
        read = read[..(unread.Length + count)];
        unread.CopyTo(read);
        guesses.AsSpan(0, count).CopyTo(read[unread.Length..]);
        batch.Add(read, text.Cache, count + 1);
        Tensor logits = model.ForwardWanted(batch, context)!;
        int taken = Check(logits, count);
        text.Cache.Truncate(text.Count + taken);
        draftCache.Truncate(Math.Min(draftCache.Length, text.Count + taken));
        (Guessed, Accepted) = (Guessed + count, Accepted + taken);
        return logits;
    }

    // The draft reads what it has not read, then its own guesses but the last.
    int Guess()
    {
        int count = Math.Min(most, text.Capacity - text.Count - 1);
        draftCache.Truncate(Math.Min(draftCache.SharedPrefix(text.Tokens), text.Count - 1));
        ReadOnlySpan<int> unread = text.Tokens[draftCache.Length..];
        for (; unread.Length > Continuation.ChunkTokens; unread = unread[Continuation.ChunkTokens..])
            Read(unread[..Continuation.ChunkTokens], 0);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<float> logits = Read(i == 0 ? unread : guesses.AsSpan(i - 1, 1), 1)!.Data;
            guesses[i] = text.Sampler.IsGreedy ? text.Sampler.Next(logits) : text.Sampler.Next(logits, guessDistributions[i]);
        }
        return count;
    }

    Tensor? Read(ReadOnlySpan<int> tokens, int wanted)
    {
        draftContext.Reset();
        draftBatch.Clear();
        draftBatch.Add(tokens, draftCache, wanted);
        return draft.ForwardWanted(draftBatch, draftContext);
    }

    // Decides tokens from the model's logits; returns how many guesses are among them.
    int Check(Tensor logits, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<float> row = logits.Rows(new Sequence(i, 1));
            int token = text.Sampler.IsGreedy ? text.Sampler.Next(row) : text.Sampler.Check(row, guessDistributions[i], guesses[i]);
            text.Decide(token);
            if (token != guesses[i])
                return i;
        }
        text.Decide(text.Sampler.Next(logits.Rows(new Sequence(count, 1))));
        return count;
    }
}

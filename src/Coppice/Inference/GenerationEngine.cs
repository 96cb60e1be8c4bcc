using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Inference;

/// <summary>What a <see cref="GenerationEngine"/> sets aside.</summary>
public sealed record GenerationEngineOptions
{
    /// <summary>Texts that grow at the same time; others wait their turn.</summary>
    public int Slots { get; init; } = 8;

    /// <summary>The most tokens of one prompt and its text; null is the model's context length.</summary>
    public int? Capacity { get; init; }

    /// <summary>Tokens of prompts that one step reads: the longer, the faster prompts are read and the longer others wait.</summary>
    public int PromptTokensPerStep { get; init; } = 256;

    /// <summary>How keys and values are kept.</summary>
    public KeyValueFormat Cache { get; init; } = KeyValueFormat.Float16;

    /// <summary>What integer matrices round their inputs to.</summary>
    public ActivationFormat Activations { get; init; } = ActivationFormat.Int8;
}

/// <summary>
/// Continues several texts at once, each weight being read once a step for all of them (continuous batching, Yu et al. 2022). Requests come and go between
/// steps; a new one takes the free cache that shares the longest start with its prompt and reads only the rest. Each text is, bit for bit, the one
/// that a <see cref="Generator"/> gives alone. <see cref="Submit"/> may be called from any thread, <see cref="Step"/> from one at a time.
/// </summary>
public sealed class GenerationEngine
{
    Model model;
    readonly GenerationEngineOptions options;
    readonly ForwardContext context;
    readonly Batch batch = new();
    readonly Queue<GenerationRequest> waiting = new();
    readonly List<GenerationRequest> running = [];
    readonly List<GenerationRequest> drawing = [];
    readonly List<(GenerationRequest Request, int Token)> drawn = [];
    readonly List<(KvCache Cache, int[] Tokens)> free;

    /// <summary>Takes the memory of all slots; the system gives it only as tokens come.</summary>
    /// <exception cref="CoppiceException">An option lies outside its range.</exception>
    public GenerationEngine(Model model, WorkerPool pool, GenerationEngineOptions? options = null)
    {
        this.options = options ??= new GenerationEngineOptions();
        int capacity = options.Capacity ?? model.ContextLength;
        if (options.Slots < 1 || options.PromptTokensPerStep < 1 || capacity < 1 || capacity > model.ContextLength)
            throw new CoppiceException($"Engine: {options.Slots} slots of {capacity} tokens, {options.PromptTokensPerStep} a step, wanted at least 1 of 1 to {model.ContextLength}, 1 a step");
        (this.model, context) = (model, new ForwardContext(pool) { Activations = options.Activations });
        free = [.. Enumerable.Range(0, options.Slots).Select(_ => (new KvCache(model, capacity, options.Cache), new int[capacity]))];
    }

    /// <summary>Requests that run.</summary>
    public int Running => running.Count;

    /// <summary>Requests that wait for a slot.</summary>
    public int Waiting
    {
        get
        {
            lock (waiting)
                return waiting.Count;
        }
    }

    /// <summary>Asks for a text. It starts as soon as a slot is free, in the order of asking.</summary>
    /// <param name="prompt">At least one token.</param>
    /// <param name="sampler">What draws its tokens; its own, for it is not thread-safe.</param>
    /// <param name="maxTokens">The most tokens to generate.</param>
    /// <param name="endToken">The tokenizer's EOS; null goes on.</param>
    /// <param name="onToken">Called with each token at the end of the <see cref="Step"/> that drew it.</param>
    /// <exception cref="CoppiceException">The prompt does not fit a slot, or holds an id that the model does not know.</exception>
    public GenerationRequest Submit(ReadOnlySpan<int> prompt, Sampler sampler, int maxTokens, int? endToken = null, Action<int>? onToken = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxTokens);
        if (prompt.IsEmpty)
            throw new ArgumentException("Engine: an empty prompt; start with the tokenizer's BOS");
        int capacity = options.Capacity ?? model.ContextLength;
        if (prompt.Length > capacity)
            throw new CoppiceException($"The prompt has {prompt.Length:N0} tokens, the context holds {capacity:N0}: shorten it");
        // A wrong id would end the step for all.
        foreach (int token in prompt)
            if ((uint)token >= (uint)model.VocabularySize)
                throw new CoppiceException($"Token id {token}: the model's vocabulary has {model.VocabularySize}; its tokenizer does not match");
        GenerationRequest request = new(prompt, sampler, maxTokens, endToken, onToken);
        lock (waiting)
            waiting.Enqueue(request);
        return request;
    }

    /// <summary>Has another variant of the model compute from the next step on; the texts' keys and values stay.</summary>
    /// <exception cref="CoppiceException">It does not fit the caches.</exception>
    public void SwitchTo(Model other)
    {
        PrecisionLadder.Check(model, other, other.Family);
        model = other;
    }

    /// <summary>One pass of the model: a token for each text that grows, a part of the prompts of those that start.</summary>
    /// <returns>Whether there is more to do.</returns>
    public bool Step()
    {
        for (int i = running.Count - 1; i >= 0; i--)
            if (running[i].IsCancelled)
                End(i, StopReason.Cancelled);
        Admit();
        if (running.Count == 0)
            return false;
        Gather();
        context.Reset();
        Tensor? logits = model.ForwardWanted(batch, context);
        for (int row = 0; row < drawing.Count; row++)
            Draw(drawing[row], logits!.Rows(new Sequence(row, 1)));
        // Only now, so that a callback that throws leaves every text as it should be.
        foreach ((GenerationRequest request, int token) in drawn)
            request.OnToken?.Invoke(token);
        return running.Count > 0 || Waiting > 0;
    }

    // Rows of texts that grow first, then prompts in the order of asking until a step's share is used up.
    void Gather()
    {
        batch.Clear();
        drawing.Clear();
        drawn.Clear();
        int left = options.PromptTokensPerStep;
        foreach (GenerationRequest request in running)
        {
            Continuation text = request.Text!;
            int unread = text.Unread.Length;
            if (request.Generated > 0 && unread == 1)
            {
                text.AddTo(batch, 1);
                drawing.Add(request);
            }
            else if (left > 0)
            {
                if (text.AddTo(batch, left))
                    drawing.Add(request);
                left -= Math.Min(left, unread);
            }
        }
    }

    void Draw(GenerationRequest request, ReadOnlySpan<float> logits)
    {
        Continuation text = request.Text!;
        try
        {
            text.Decide(request.Sampler.Next(logits));
        }
        catch (CoppiceException failure)
        {
            // Of this text alone: the others go on.
            End(running.IndexOf(request), StopReason.Failed, failure);
            return;
        }
        if (text.Take(out int token))
        {
            request.Generated++;
            drawn.Add((request, token));
            if (request.Generated == request.MaxTokens)
                text.Stop = StopReason.MaxTokens;
        }
        if (!text.MayGoOn())
            End(running.IndexOf(request), text.Stop);
    }

    void Admit()
    {
        while (free.Count > 0)
        {
            GenerationRequest? request;
            lock (waiting)
                if (!waiting.TryDequeue(out request))
                    return;
            if (request.IsCancelled || request.MaxTokens == 0 || request.PromptTokens == (options.Capacity ?? model.ContextLength))
            {
                request.End(request.IsCancelled ? StopReason.Cancelled : request.MaxTokens == 0 ? StopReason.MaxTokens : StopReason.ContextFull);
                continue;
            }
            (KvCache cache, int[] tokens) = TakeSlot(request.Prompt);
            Continuation text = new(cache, tokens, request.Sampler, request.EndToken);
            request.ReusedTokens = text.Restart(request.Prompt);
            request.Text = text;
            running.Add(request);
        }
    }

    // The free cache with the longest start of the prompt; of equals the one that has been free longest.
    (KvCache, int[]) TakeSlot(ReadOnlySpan<int> prompt)
    {
        int best = 0, longest = -1;
        for (int i = 0; i < free.Count; i++)
            if (free[i].Cache.SharedPrefix(prompt) is var shared && shared > longest)
                (best, longest) = (i, shared);
        (KvCache, int[]) slot = free[best];
        free.RemoveAt(best);
        return slot;
    }

    void End(int index, StopReason reason, CoppiceException? failure = null)
    {
        GenerationRequest request = running[index];
        running.RemoveAt(index);
        free.Add(request.Text!.Release());
        request.End(reason, failure);
    }
}

using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>A text that a <see cref="GenerationEngine"/> continues. Read its tokens in <see cref="OnToken"/> or once it is done.</summary>
public sealed class GenerationRequest
{
    volatile bool isCancelled, isDone;
    readonly int[] prompt;
    int[] tokens;

    internal GenerationRequest(ReadOnlySpan<int> prompt, Sampler sampler, int maxTokens, int? endToken, Action<int>? onToken)
    {
        this.prompt = prompt.ToArray();
        tokens = this.prompt;
        (Sampler, MaxTokens, EndToken, OnToken) = (sampler, maxTokens, endToken, onToken);
    }

    /// <summary>Prompt and text.</summary>
    public ReadOnlySpan<int> Tokens => Text is null ? tokens : Text.Tokens;

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens => prompt.Length;

    /// <summary>Tokens of the prompt that a cache held already.</summary>
    public int ReusedTokens { get; internal set; }

    /// <summary>Tokens generated.</summary>
    public int Generated { get; internal set; }

    /// <summary>Why it ended; <see cref="StopReason.None"/> until then.</summary>
    public StopReason Stop { get; private set; }

    /// <summary>What went wrong where <see cref="Stop"/> is <see cref="StopReason.Failed"/>.</summary>
    public CoppiceException? Failure { get; private set; }

    /// <summary>Whether no more tokens come.</summary>
    public bool IsDone => isDone;

    /// <summary>Gives up: from the next step on no token comes. May be called from any thread.</summary>
    public void Cancel() => isCancelled = true;

    internal ReadOnlySpan<int> Prompt => prompt;

    internal Sampler Sampler { get; }

    internal int MaxTokens { get; }

    internal int? EndToken { get; }

    internal Action<int>? OnToken { get; }

    internal bool IsCancelled => isCancelled;

    /// <summary>Its place among the engine's texts while it runs.</summary>
    internal Continuation? Text { get; set; }

    internal void End(StopReason reason, CoppiceException? failure = null)
    {
        tokens = Tokens.ToArray();
        (Text, Stop, Failure) = (null, reason, failure);
        isDone = true;
    }
}

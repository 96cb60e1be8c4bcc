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

    /// <summary>Whoever asked for the text wants no more of it.</summary>
    Cancelled,

    /// <summary>The model gave what cannot be drawn from: <see cref="GenerationRequest.Failure"/> says what.</summary>
    Failed,
}

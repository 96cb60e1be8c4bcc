using Coppice.Models;

namespace Coppice.Inference;

/// <summary>Who guesses ahead in speculative decoding.</summary>
/// <param name="Model">A faster model of the same vocabulary, such as a compressed copy of the one that it guesses for.</param>
public sealed record DraftOptions(Model Model)
{
    /// <summary>Tokens that it guesses before they are checked in one pass; 1 to 64.</summary>
    public int Tokens { get; init; } = 4;
}

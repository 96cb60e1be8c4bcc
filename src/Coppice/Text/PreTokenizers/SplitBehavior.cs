namespace Coppice.Text.PreTokenizers;

/// <summary>What becomes of a match when a text is cut at it.</summary>
enum SplitBehavior
{
    /// <summary>It is left out.</summary>
    Removed,
    /// <summary>It is a piece of its own.</summary>
    Isolated,
    /// <summary>It ends the piece before it.</summary>
    MergedWithPrevious,
    /// <summary>It begins the piece after it.</summary>
    MergedWithNext,
    /// <summary>Matches in a row are one piece.</summary>
    Contiguous,
}

namespace Coppice.Text;

/// <summary>What a model gets for a text or two.</summary>
/// <param name="Ids">Tokens.</param>
/// <param name="TypeIds">For each token the segment that it belongs to: 0, or 1 for the second text of encoders that tell them apart.</param>
public sealed record TokenSequence(IReadOnlyList<int> Ids, IReadOnlyList<int> TypeIds)
{
    /// <summary>Tokens of one type.</summary>
    internal static TokenSequence Of(IReadOnlyList<int> ids, int type) => new(ids, [.. Enumerable.Repeat(type, ids.Count)]);
}

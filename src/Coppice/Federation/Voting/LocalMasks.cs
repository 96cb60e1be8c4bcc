using Coppice.Formats;

namespace Coppice.Federation.Voting;

/// <summary>Pruned matrices in a task: each comes as the numbers that its mask keeps, and the mask as <c>NAME.mask</c>. Where masks are to change, how many numbers the client votes to keep and to bring back.</summary>
/// <param name="Names">The matrices' tensors, by name.</param>
/// <param name="Keep">Of those that a mask keeps, how many are to stay; empty where nothing changes.</param>
/// <param name="Grow">Of the others, how many are to come back; as many as <paramref name="Keep"/>.</param>
sealed record LocalMasks(string[] Names, int[] Keep, int[] Grow)
{
    /// <summary>Whether the client votes.</summary>
    public bool Votes => Keep.Length > 0;

    public void Check(string name)
    {
        if (Names.Length == 0 || Names.Distinct(StringComparer.Ordinal).Count() != Names.Length || Keep.Length != Grow.Length || Keep.Length != 0 && Keep.Length != Names.Length || Keep.Any(count => count < 0) || Grow.Any(count => count < 0))
            throw FormatError.At(name, $"masks of {Names.Length} matrices, with {Keep.Length} counts to keep and {Grow.Length} to bring back; wanted names that differ, and a count of each for all or for none");
    }
}

using System.Runtime.InteropServices;

namespace Coppice.Text.TokenModels;

/// <summary>What a pair of neighbouring tokens merges into, and how soon: the lowest order merges first.</summary>
readonly record struct Merge(double Order, int Id);

/// <summary>
/// Merges neighbouring symbols until no pair is in the table: always the pair of lowest order, of equals the leftmost. O(n log n) by a heap over a linked
/// list, so a word of a million characters is no attack.
/// </summary>
sealed class SymbolMerger(Dictionary<(int Left, int Right), Merge> merges)
{
    readonly record struct Candidate(int Position, int Left, int Right, int Id);

    /// <summary>Merges from <paramref name="start"/> to the list's end, in place.</summary>
    public void Apply(List<int> ids, int start)
    {
        Span<int> symbols = CollectionsMarshal.AsSpan(ids)[start..];
        if (symbols.Length < 2)
            return;
        int[] next = new int[symbols.Length], previous = new int[symbols.Length];
        PriorityQueue<Candidate, (double, int)> queue = new();
        for (int i = 0; i < symbols.Length; i++)
            (previous[i], next[i]) = (i - 1, i + 1);
        for (int i = 0; i + 1 < symbols.Length; i++)
            Offer(i, symbols[i], symbols[i + 1]);

        // A symbol that was merged into the one before it is -1, so candidates that name it no longer fit.
        while (queue.TryDequeue(out Candidate best, out _))
        {
            int right = next[best.Position];
            if (symbols[best.Position] != best.Left || right >= symbols.Length || symbols[right] != best.Right)
                continue;
            symbols[best.Position] = best.Id;
            symbols[right] = -1;
            int after = next[best.Position] = next[right];
            if (after < symbols.Length)
            {
                previous[after] = best.Position;
                Offer(best.Position, best.Id, symbols[after]);
            }
            if (previous[best.Position] >= 0)
                Offer(previous[best.Position], symbols[previous[best.Position]], best.Id);
        }

        int count = 0;
        for (int i = 0; i < symbols.Length; i = next[i])
            symbols[count++] = symbols[i];
        CollectionsMarshal.SetCount(ids, start + count);

        void Offer(int position, int left, int right)
        {
            if (merges.TryGetValue((left, right), out Merge merge))
                queue.Enqueue(new Candidate(position, left, right, merge.Id), (merge.Order, position));
        }
    }
}

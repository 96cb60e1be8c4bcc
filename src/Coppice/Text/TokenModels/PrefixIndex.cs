namespace Coppice.Text.TokenModels;

/// <summary>
/// Finds the tokens that a text begins with: tokens in ordinal order, of which each further character leaves a narrower range. The work is bounded by the longest match, whatever the tokens are.
/// </summary>
sealed class PrefixIndex
{
    readonly string[] tokens;
    readonly int[] ids;
    readonly Dictionary<char, (int First, int End)> byFirst = [];

    public PrefixIndex(IEnumerable<(string Token, int Id)> entries)
    {
        (string Token, int Id)[] ordered = [.. entries.Where(entry => entry.Token.Length > 0).OrderBy(entry => entry.Token, StringComparer.Ordinal)];
        (tokens, ids) = ([.. ordered.Select(entry => entry.Token)], [.. ordered.Select(entry => entry.Id)]);
        for (int i = 0; i < tokens.Length; i++)
            byFirst[tokens[i][0]] = (byFirst.TryGetValue(tokens[i][0], out (int First, int End) range) ? range.First : i, i + 1);
    }

    /// <summary>Whether there are no tokens.</summary>
    public bool IsEmpty => tokens.Length == 0;

    /// <summary>Appends the tokens that a text begins with, shortest first: characters and id.</summary>
    public void Find(ReadOnlySpan<char> text, List<(int Length, int Id)> found)
    {
        if (text.Length == 0 || !byFirst.TryGetValue(text[0], out (int First, int End) range))
            return;
        for (int length = 1; ; length++)
        {
            // of tokens that share these characters, one that ends here is the first
            if (tokens[range.First].Length == length)
            {
                found.Add((length, ids[range.First]));
                range.First++;
            }
            if (length == text.Length || range.First == range.End)
                return;
            range = (Bound(range, length, text[length]), Bound(range, length, text[length] + 1));
            if (range.First == range.End)
                return;
        }
    }

    // the first token of a range whose character at a place is not below one
    int Bound((int First, int End) range, int place, int character)
    {
        (int low, int high) = range;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (tokens[middle][place] < character)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
}

namespace Coppice.Models;

/// <summary>The known name that was probably meant.</summary>
public static class NearestName
{
    /// <summary>The name at the smallest edit distance, letter case aside; the first of equals.</summary>
    public static string Of(string name, IEnumerable<string> known) => known.MinBy(candidate => Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant()))!;

    // Levenshtein 1966: insertions, deletions and substitutions count one each.
    static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}

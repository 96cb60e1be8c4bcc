using System.Globalization;

namespace Coppice.Federation.Splits;

/// <summary>What splits have in common.</summary>
static class Dealing
{
    /// <summary>
    /// Cuts documents into consecutive parts of given shares, which add up to 1: part k ends at round(n (s_0 + ... + s_k)), so that it is off by less than one document from its share, and every document is in one part.
    /// </summary>
    public static IEnumerable<ArraySegment<int>> Cut(int[] documents, ReadOnlySpan<double> shares)
    {
        ArraySegment<int>[] parts = new ArraySegment<int>[shares.Length];
        double sum = 0;
        int start = 0;
        for (int k = 0; k < shares.Length; k++)
        {
            sum += shares[k];
            int end = k + 1 < shares.Length ? Math.Clamp((int)Math.Round(sum * documents.Length), start, documents.Length) : documents.Length;
            parts[k] = new(documents, start, end - start);
            start = end;
        }
        return parts;
    }

    /// <summary>Places of documents by label, labels in ordinal order, each label's documents shuffled.</summary>
    public static IReadOnlyList<(string Label, int[] Documents)> Shuffled(IReadOnlyList<string> labels, Random random)
    {
        List<(string, int[])> groups = [.. labels.Index().GroupBy(document => document.Item, document => document.Index, StringComparer.Ordinal)
            .OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => (group.Key, group.ToArray()))];
        foreach ((_, int[] documents) in groups)
            random.Shuffle(documents);
        return groups;
    }

    /// <summary>Names documents' owners client-01, client-02 ... so that their order is that of the parts.</summary>
    public static IReadOnlyList<ClientShare> Name(IReadOnlyList<IEnumerable<int>> parts)
    {
        string digits = new('0', parts.Count.ToString(CultureInfo.InvariantCulture).Length);
        return [.. parts.Select((part, k) => new ClientShare("client-" + (k + 1).ToString(digits, CultureInfo.InvariantCulture), [.. part.Order()]))];
    }
}

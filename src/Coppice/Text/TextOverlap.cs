using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Text;

/// <summary>Whether a text that a model is judged by was seen before, line by line and by hash.</summary>
public static class TextOverlap
{
    // Shorter lines are common to texts that have nothing else in common.
    const int FewestCharacters = 40;

    /// <summary>The share, 0 to 1, of <paramref name="judged"/>'s lines of at least 40 characters that <paramref name="seen"/> has too; white space around them does not count. 0 where there are none.</summary>
    public static double Share(Corpus seen, Corpus judged)
    {
        HashSet<UInt128> known = [.. Lines(seen)];
        long all = 0, both = 0;
        foreach (UInt128 line in Lines(judged))
        {
            all++;
            both += known.Contains(line) ? 1 : 0;
        }
        return all == 0 ? 0 : (double)both / all;
    }

    static IEnumerable<UInt128> Lines(Corpus corpus)
    {
        byte[] hash = new byte[SHA256.HashSizeInBytes];
        foreach (Document document in corpus.Documents)
            foreach (string line in document.Text.Split('\n'))
                if (line.Trim() is { Length: >= FewestCharacters } text)
                {
                    SHA256.HashData(Encoding.UTF8.GetBytes(text), hash);
                    yield return MemoryMarshal.Read<UInt128>(hash);
                }
    }
}

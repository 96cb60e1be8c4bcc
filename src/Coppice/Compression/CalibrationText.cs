using Coppice.Text;

namespace Coppice.Compression;

/// <summary>Token sequences to gather statistics on.</summary>
public static class CalibrationText
{
    /// <summary>Documents in a seeded order, each with BOS before it where the tokenizer has one and cut into pieces of <paramref name="context"/> tokens, until there are <paramref name="tokens"/> or the text ends.</summary>
    public static IReadOnlyList<int[]> Draw(Corpus corpus, Tokenizer tokenizer, int context, int tokens, int seed)
    {
        Document[] documents = [.. corpus.Documents];
        new Random(seed).Shuffle(documents);
        List<int[]> sequences = [];
        List<int> ids = [];
        for (int i = 0; i < documents.Length && tokens > 0; i++)
        {
            ids.Clear();
            if (tokenizer.BosId is { } bos)
                ids.Add(bos);
            tokenizer.Encode(documents[i].Text, ids);
            foreach (int[] piece in ids.Take(tokens).Chunk(context))
                sequences.Add(piece);
            tokens -= ids.Count;
        }
        return sequences;
    }
}

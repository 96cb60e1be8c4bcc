using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.Patterns;
using Coppice.Text.PreTokenizers;
using Coppice.Text.TokenModels;

namespace Coppice.Text;

/// <summary>What to train.</summary>
public sealed record BpeTraining
{
    /// <summary>Number of tokens: the special ones, 256 bytes, and the rest merges.</summary>
    public int VocabularySize { get; init; } = 4096;

    /// <summary>Control tokens, with the first ids. The first of them starts a document and the last ends it.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = ["<|endoftext|>"];
}

/// <summary>
/// Trains byte-level BPE as Hugging Face's trainer does: again and again the most frequent pair of neighbours within words becomes a token; of
/// equally frequent pairs, the one with the smaller ids. Pair counts are updated only in words that hold the pair. Deterministic.
/// </summary>
public static class BpeTrainer
{
    // GPT-2's steps and its model's options, as tokenizer.json has them.
    internal const string StepsJson = """
        {
          "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
          "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
          "post_processor": null,
          "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
        }
        """;

    internal const string ModelJson = """{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false}""";

    sealed class Pair
    {
        public long Count;
        public readonly List<int> Words = [];   // that hold it, or once held it
    }

    /// <summary>Trains a tokenizer on documents. Progress is the number of tokens made so far.</summary>
    /// <exception cref="CoppiceException">The vocabulary is too small for its bytes, or too large for the text.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was raised.</exception>
    public static Tokenizer Train(IEnumerable<string> documents, BpeTraining training, IProgress<int>? progress = null, CancellationToken cancel = default)
    {
        List<string> tokens = [.. training.SpecialTokens, .. ByteAlphabet.Sorted.Select(c => c.ToString())];
        if (training.VocabularySize < tokens.Count)
            throw new CoppiceException($"A vocabulary of {training.VocabularySize} is too small: {training.SpecialTokens.Count} special tokens and 256 bytes are {tokens.Count}");

        Dictionary<string, int> ids = tokens.Index().Skip(training.SpecialTokens.Count).ToDictionary(pair => pair.Item, pair => pair.Index, StringComparer.Ordinal);
        (int[][] words, long[] counts) = Words(documents, ids, cancel);
        Dictionary<(int, int), Pair> pairs = [];
        for (int w = 0; w < words.Length; w++)
            Count(words[w], counts[w], w, pairs);

        // Highest count first, then smallest pair. A count may have fallen since it was queued; it is then queued again.
        PriorityQueue<(int, int), (long, int, int)> queue = new();
        foreach (((int, int) pair, Pair state) in pairs)
            Queue(pair, state);
        List<(int, int, int)> merges = [];
        while (tokens.Count < training.VocabularySize)
        {
            cancel.ThrowIfCancellationRequested();
            if (!queue.TryDequeue(out (int Left, int Right) best, out (long NegatedCount, int, int) queued))
                throw new CoppiceException($"The text yields {tokens.Count} tokens, {training.VocabularySize} were asked for: train on more text or ask for fewer");
            if (!pairs.TryGetValue(best, out Pair? state) || state.Count <= 0)
                continue;
            if (state.Count != -queued.NegatedCount)
            {
                Queue(best, state);
                continue;
            }
            // Two pairs may spell the same token: it is made once.
            string spelling = tokens[best.Left] + tokens[best.Right];
            if (!ids.TryGetValue(spelling, out int merged))
            {
                ids[spelling] = merged = tokens.Count;
                tokens.Add(spelling);
                progress?.Report(tokens.Count);
            }
            merges.Add((best.Left, best.Right, merged));
            HashSet<(int, int)> grown = [];
            foreach (int w in state.Words)
                if (Holds(words[w], best))
                {
                    Count(words[w], -counts[w], w, pairs);
                    words[w] = Merged(words[w], best, merged);
                    Count(words[w], counts[w], w, pairs, merged, grown);
                }
            pairs.Remove(best);
            foreach ((int, int) pair in grown)
                Queue(pair, pairs[pair]);
        }

        return Assemble(tokens, merges, training.SpecialTokens.Count);

        void Queue((int Left, int Right) pair, Pair state) => queue.Enqueue(pair, (-state.Count, pair.Left, pair.Right));
    }

    static Tokenizer Assemble(List<string> tokens, List<(int Left, int Right, int Merged)> merges, int specials)
    {
        Vocabulary vocabulary = new();
        foreach ((int id, string token) in tokens.Index())
            vocabulary.Add(token, id);
        Dictionary<(int, int), Merge> table = merges.Index().ToDictionary(merge => (merge.Item.Left, merge.Item.Right), merge => new Merge(merge.Index, merge.Item.Merged));
        AddedToken[] added = [.. tokens.Take(specials).Select((token, id) => new AddedToken(id, token, IsControl: true))];
        using JsonDocument options = JsonDocument.Parse(ModelJson);
        TokenizerParts parts = TokenizerJson.Compose(StepsJson, new Bpe(vocabulary, table, new BpeOptions(), options.RootElement.Clone()), added);
        return new Tokenizer(parts with { Roles = new TokenizerRoles { Bos = specials > 0 ? 0 : null, Eos = specials > 0 ? specials - 1 : null } });
    }

    static (int[][] Words, long[] Counts) Words(IEnumerable<string> documents, Dictionary<string, int> ids, CancellationToken cancel)
    {
        Dictionary<string, long> words = new(StringComparer.Ordinal);
        var lookup = words.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (string document in documents)
        {
            cancel.ThrowIfCancellationRequested();
            for (ReadOnlySpan<char> rest = document; rest.Length > 0;)
            {
                int length = Gpt2Pattern.NextLength(rest);
                CollectionsMarshal.GetValueRefOrAddDefault(lookup, rest[..length], out _)++;
                rest = rest[length..];
            }
        }
        int[] byteIds = [.. Enumerable.Range(0, 256).Select(value => ids[ByteAlphabet.Char((byte)value).ToString()])];
        int[][] symbols = [.. words.Keys.Select(word => Encoding.UTF8.GetBytes(word).Select(value => byteIds[value]).ToArray())];
        return (symbols, [.. words.Values]);
    }

    // Adds times of each pair in a word; pairs with the token "made" are put in "grown".
    static void Count(int[] word, long times, int index, Dictionary<(int, int), Pair> pairs, int made = -1, HashSet<(int, int)>? grown = null)
    {
        for (int i = 0; i + 1 < word.Length; i++)
        {
            (int, int) key = (word[i], word[i + 1]);
            ref Pair? pair = ref CollectionsMarshal.GetValueRefOrAddDefault(pairs, key, out _);
            pair ??= new Pair();
            pair.Count += times;
            if (times > 0 && (made < 0 || word[i] == made || word[i + 1] == made))
            {
                if (pair.Words.Count == 0 || pair.Words[^1] != index)
                    pair.Words.Add(index);
                grown?.Add(key);
            }
        }
    }

    static bool Holds(int[] word, (int Left, int Right) pair)
    {
        for (int i = 0; i + 1 < word.Length; i++)
            if (word[i] == pair.Left && word[i + 1] == pair.Right)
                return true;
        return false;
    }

    static int[] Merged(int[] word, (int Left, int Right) pair, int merged)
    {
        List<int> symbols = new(word.Length);
        for (int i = 0; i < word.Length; i++)
            if (i + 1 < word.Length && word[i] == pair.Left && word[i + 1] == pair.Right)
            {
                symbols.Add(merged);
                i++;
            }
            else
            {
                symbols.Add(word[i]);
            }
        return [.. symbols];
    }
}

using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.Patterns;
using Coppice.Text.PreTokenizers;
using Coppice.Text.TokenModels;

namespace Coppice.Tests.Text;

public class BpeTrainerTests
{
    [Fact]
    public void Merges_the_most_frequent_pair_first_and_of_equals_the_smaller_ids()
    {
        // hug x10, pug x5, pun x12, bun x4, hugs x5: ug 20, un 16, then h+ug 15, p+un 12; p+ug and hug+s tie at 5 and "p" has the smaller id.
        string[] documents = [.. Repeat("hug", 10), .. Repeat("pug", 5), .. Repeat("pun", 12), .. Repeat("bun", 4), .. Repeat("hugs", 5)];
        Assert.Equal(["u g", "u n", "h ug", "p un", "p ug", "hug s", "b un"], Merges(Train(documents, 257 + 7)));
    }

    [Fact]
    public void Overlapping_pairs_count_as_they_merge()
    {
        // aaaa: three pairs (a, a), two of which merge; then (aa, aa).
        Assert.Equal(["a a", "aa aa"], Merges(Train(["aaaa", "aaaa"], 257 + 2)));
    }

    [Fact]
    public void Agrees_with_counting_everything_anew_at_every_step()
    {
        string[] documents = [.. HostileText.Random(seed: 2, count: 150).Select(pair => pair.Text), .. Repeat("the theme of the other mother, then there", 3), "abababab cbabab"];
        Tokenizer trained = Train(documents, 257 + 120);
        Assert.Equal(NaiveMerges(documents, 120), Pairs(trained).Select(merge => (merge.Left, merge.Right)));
    }

    [Fact]
    public void Gives_the_wanted_size_special_tokens_first_then_bytes()
    {
        Tokenizer trained = BpeTrainer.Train(["some text some text"], new BpeTraining { VocabularySize = 260, SpecialTokens = ["<s>", "</s>"] });
        Assert.Equal((260, 0, 1), (trained.Count, trained.BosId, trained.EosId));
        Assert.Equal(["<s>", "</s>", "!", "\""], Enumerable.Range(0, 4).Select(trained.Token));
        Assert.Equal("Ń", trained.Token(257));
    }

    [Fact]
    public void Says_when_the_text_is_too_small_or_the_vocabulary_is()
    {
        Assert.Equal("The text yields 258 tokens, 300 were asked for: train on more text or ask for fewer", Assert.Throws<CoppiceException>(() => Train(["ab"], 300)).Message);
        Assert.Equal("A vocabulary of 256 is too small: 1 special tokens and 256 bytes are 257", Assert.Throws<CoppiceException>(() => Train(["ab"], 256)).Message);
    }

    [Fact]
    public void Reports_progress_and_stops_when_cancelled()
    {
        Assert.Throws<OperationCanceledException>(() => BpeTrainer.Train(["abc abc"], new BpeTraining { VocabularySize = 259 }, cancel: new CancellationToken(canceled: true)));
        Last last = new();
        BpeTrainer.Train(["abc abc"], new BpeTraining { VocabularySize = 259 }, last);
        Assert.Equal(259, last.Value);
    }

    internal static Tokenizer Train(IEnumerable<string> documents, int size) => BpeTrainer.Train(documents, new BpeTraining { VocabularySize = size });

    static IEnumerable<string> Repeat(string text, int times) => Enumerable.Repeat(text, times);

    static IEnumerable<(int Left, int Right, int Merged)> Pairs(Tokenizer trained) => ((Bpe)trained.Parts.Model).Merges;

    static IEnumerable<string> Merges(Tokenizer trained) => Pairs(trained).Select(merge => $"{trained.Token(merge.Left)} {trained.Token(merge.Right)}");

    static List<(int, int)> NaiveMerges(string[] documents, int count)
    {
        List<string> spellings = ["<|endoftext|>", .. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value).ToString()).Order(StringComparer.Ordinal)];
        List<List<int>> words = [];
        foreach (string document in documents)
            for (int at = 0, length; at < document.Length; at += length)
            {
                length = Gpt2Pattern.NextLength(document.AsSpan(at));
                words.Add([.. System.Text.Encoding.UTF8.GetBytes(document.Substring(at, length)).Select(value => spellings.IndexOf(ByteAlphabet.Char(value).ToString()))]);
            }
        List<(int, int)> merges = [];
        while (merges.Count < count)
        {
            (int Left, int Right) best = words.SelectMany(word => word.Zip(word.Skip(1))).GroupBy(pair => pair)
                .OrderByDescending(group => group.Count()).ThenBy(group => group.Key).First().Key;
            int merged = spellings.IndexOf(spellings[best.Left] + spellings[best.Right]);
            Assert.Equal(-1, merged);
            merged = spellings.Count;
            spellings.Add(spellings[best.Left] + spellings[best.Right]);
            merges.Add(best);
            foreach (List<int> word in words)
                for (int i = 0; i + 1 < word.Count; i++)
                    if ((word[i], word[i + 1]) == best)
                    {
                        word[i] = merged;
                        word.RemoveAt(i + 1);
                    }
        }
        return merges;
    }

    sealed class Last : IProgress<int>
    {
        public int Value;

        public void Report(int value) => Value = value;
    }
}

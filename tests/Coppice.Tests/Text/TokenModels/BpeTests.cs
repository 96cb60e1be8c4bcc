using System.Buffers;
using System.Text;
using Coppice.Text;
using Coppice.Text.Patterns;
using Coppice.Text.PreTokenizers;
using Coppice.Text.TokenModels;

namespace Coppice.Tests.Text.TokenModels;

public class BpeTests
{
    static readonly Tokenizer Tokenizer = BpeTrainerTests.Train(
        [.. HostileText.Samples, .. HostileText.Random(seed: 3, count: 300).Select(pair => pair.Text), "the theme of the other mother, then there in the end"], 257 + 300);

    [Fact]
    public void Decoding_undoes_encoding_whatever_the_text()
    {
        foreach (string text in HostileText.Samples.Concat(HostileText.Random(seed: 4, count: 3000).Select(pair => pair.Text)))
        {
            int[] ids = Tokenizer.Encode(text);
            Assert.Equal(text, Tokenizer.Decode(ids));
            Assert.Equal(Encoding.UTF8.GetByteCount(text), Tokenizer.ByteCount(ids));
            Assert.Equal(Encoding.UTF8.GetByteCount(text), ids.Sum(Tokenizer.ByteCount));
        }
    }

    [Fact]
    public void Encodes_as_the_slow_way_that_looks_for_the_lowest_rank_again_and_again()
    {
        foreach ((string text, _) in HostileText.Random(seed: 5, count: 3000))
            Assert.Equal(Slow(text), Tokenizer.Encode(text));
        Assert.Equal(Slow("thethethemethethem othermother " + new string('a', 500)), Tokenizer.Encode("thethethemethethem othermother " + new string('a', 500)));
    }

    [Fact]
    public void A_second_time_from_the_word_cache_and_many_threads_give_the_same()
    {
        string text = string.Concat(HostileText.Random(seed: 6, count: 200).Select(pair => pair.Text));
        int[] first = Tokenizer.Encode(text);
        Parallel.For(0, 8, _ => Assert.Equal(first, Tokenizer.Encode(text)));
    }

    [Fact]
    public void A_marker_in_a_text_is_text_unless_asked_for()
    {
        int[] plain = Tokenizer.Encode("a<|endoftext|>b");
        Assert.DoesNotContain(Tokenizer.EosId!.Value, plain);
        Assert.Equal("a<|endoftext|>b", Tokenizer.Decode(plain));

        int[] parsed = Tokenizer.Encode("a<|endoftext|>b<|endoftext|>", SpecialMarkers.Parse);
        Assert.Equal([.. Tokenizer.Encode("a"), 0, .. Tokenizer.Encode("b"), 0], parsed);
        Assert.Equal("ab", Tokenizer.Decode(parsed));
        Assert.Equal(0, Tokenizer.ByteCount(0));
    }

    [Fact]
    public void A_lone_surrogate_becomes_the_replacement_character()
    {
        Assert.Equal(Tokenizer.Encode("a\uFFFDb"), Tokenizer.Encode("a\uD800b"));
        Assert.Equal("\uFFFD x", Tokenizer.Decode(Tokenizer.Encode("\uDC00 x")));
    }

    [Fact]
    public void Tokens_that_cut_a_character_in_two_decode_to_its_bytes()
    {
        Tokenizer bytes = BpeTrainerTests.Train([], 257);
        int[] ids = bytes.Encode("é");
        Assert.Equal(2, ids.Length);
        Assert.Equal("\uFFFD", bytes.Decode(ids.AsSpan(0, 1)));
        ArrayBufferWriter<byte> writer = new();
        foreach (int id in ids)
            bytes.DecodeBytes(id, writer);
        Assert.Equal("é"u8.ToArray(), writer.WrittenSpan.ToArray());
    }

    [Fact]
    public void A_word_of_a_million_characters_is_encoded_soon()
    {
        int[] ids = Tokenizer.Encode(new string('a', 1_000_000));
        Assert.Equal(1_000_000, Tokenizer.ByteCount(ids));
    }

    [Fact]
    public void An_id_that_is_no_token_is_refused()
    {
        Assert.Contains($"Token {Tokenizer.Count}: the tokenizer has {Tokenizer.Count}", Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.Token(Tokenizer.Count)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.Decode([-1]));
    }

    static List<int> Slow(string text)
    {
        Dictionary<string, int> ids = Enumerable.Range(1, Tokenizer.Count - 1).ToDictionary(Tokenizer.Token);
        Dictionary<(string, string), int> ranks = [];
        foreach ((int left, int right, _) in ((Bpe)Tokenizer.Parts.Model).Merges)
            ranks.TryAdd((Tokenizer.Token(left), Tokenizer.Token(right)), ranks.Count);
        List<int> all = [];
        for (int at = 0, length; at < text.Length; at += length)
        {
            length = Gpt2Pattern.NextLength(text.AsSpan(at));
            List<string> word = [.. ByteAlphabet.Spell(Encoding.UTF8.GetBytes(text.Substring(at, length))).Select(c => c.ToString())];
            while (true)
            {
                int best = -1;
                for (int i = 0; i + 1 < word.Count; i++)
                    if (ranks.TryGetValue((word[i], word[i + 1]), out int rank) && (best < 0 || rank < ranks[(word[best], word[best + 1])]))
                        best = i;
                if (best < 0)
                    break;
                word[best] += word[best + 1];
                word.RemoveAt(best + 1);
            }
            all.AddRange(word.Select(token => ids[token]));
        }
        return all;
    }
}

using System.Text.RegularExpressions;
using Coppice.Text.Patterns;

namespace Coppice.Tests.Text.Patterns;

public partial class Gpt2PatternTests
{
    [Theory]
    [InlineData("Hello world", "Hello| world")]
    [InlineData("I'm we'll 'S", "I|'m| we|'ll| '|S")]
    [InlineData("a  b\n\n c   ", "a| | b|\n\n| c|   ")]
    [InlineData("a\n\n\tb", "a|\n\n|\t|b")]
    [InlineData("x1 23=4 ==y", "x|1| 23|=|4| ==|y")]
    [InlineData("𝒜𝓑c 𝟙2🙂🙂 🙂", "𝒜𝓑c| 𝟙2|🙂🙂| 🙂")]
    public void Splits_as_written_by_hand(string text, string words) => Assert.Equal(words, string.Join('|', Words(text)));

    [Fact]
    public void Splits_as_the_regex_does_where_astral_characters_have_stand_ins()
    {
        foreach ((string text, string standIn) in HostileText.Random(seed: 1, count: 20_000))
            Assert.Equal(Pattern().Matches(standIn).Select(match => match.Length), Words(text).Select(word => word.Length));
    }

    [Fact]
    public void Every_character_of_the_basic_plane_has_the_class_that_the_regex_gives_it()
    {
        List<int> wrong = [];
        for (int c = 0; c <= char.MaxValue; c++)
            if (!char.IsSurrogate((char)c))
                foreach (string text in (string[])[$"{(char)c}a", $"{(char)c}1", $"{(char)c}.", $"a {(char)c} "])
                    if (!Pattern().Matches(text).Select(match => match.Length).SequenceEqual(Words(text).Select(word => word.Length)))
                        wrong.Add(c);
        Assert.Empty(wrong);
    }

    [Fact]
    public void A_lone_surrogate_is_a_symbol() => Assert.Equal(["a", "\uD800", "b", " \uDC00.", "c"], Words("a\uD800b \uDC00.c"));

    static List<string> Words(string text)
    {
        List<string> words = [];
        for (int at = 0; at < text.Length; at += words[^1].Length)
            words.Add(text.Substring(at, Gpt2Pattern.NextLength(text.AsSpan(at))));
        return words;
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Pattern();
}

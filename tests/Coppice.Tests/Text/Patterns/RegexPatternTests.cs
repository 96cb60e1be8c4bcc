using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.Patterns;

namespace Coppice.Tests.Text.Patterns;

public class RegexPatternTests
{
    // What Oniguruma in Ruby syntax matches.
    [Theory]
    [InlineData(@"\p{L}+", "a𝒜b 𐐷中 🙂", "a𝒜b|𐐷中")]
    [InlineData(@"[^\s\p{L}\p{N}]+", "a🙂🙂 𝟙.", "🙂🙂|.")]
    [InlineData(@"\p{N}{1,3}", "1234 𝟙𝟚𝟛𝟜", "123|4|𝟙𝟚𝟛|𝟜")]
    [InlineData(@"\p{N}{1,3}+", "1234", "1234")]
    [InlineData(@"a++b|a", "aab a", "aab|a")]
    [InlineData(@"a++ab", "aab", "")]
    [InlineData(@"'(?i:[sdmt]|ll|ve|re)", "'S 'ſ 'LL 'x 'Ve", "'S|'ſ|'LL|'Ve")]
    [InlineData(@"(?i:k)", "kK\u212Ax", "k|K|\u212A")]
    [InlineData(@"\s+(?!\S)|\s+", "a  b\u00A0 \u0085c", " | |\u00A0 |\u0085")]
    [InlineData(@"^a|b$", "ab\nab", "a|b|a|b")]
    [InlineData(@" ?[^(\s|[.,!?…。，、।۔،])]+", "a b.c (d", "a| b|c|d")]
    [InlineData(@"[一-龥\u3040-ゟ]+", "中ひx𠀀", "中ひ")]
    [InlineData(@"[\p{L}&&[^\p{Han}]]+", "a中b𠀀c", "a|b|c")]
    [InlineData(@"[\p{Han}]+", "a中𠀀々b", "中𠀀々")]
    [InlineData(@"[^\r\n\p{L}\p{N}]?\p{L}+", "🙂a.b", "🙂a|.b")]
    [InlineData(@"\w+", "aⒶ\u0301_1 -Ⅷ", "aⒶ\u0301_1|Ⅷ")]
    [InlineData(@".+", "a\nb🙂", "a|b🙂")]
    [InlineData(@"(?<=a)b", "ab b", "b")]
    [InlineData(@"x{,2}y", "xxxy", "xxy")]
    public void Matches_as_Oniguruma_does(string pattern, string text, string matches)
    {
        List<Range> found = [];
        Read(pattern).Find(text, found);
        Assert.Equal(matches, string.Join('|', found.Select(range => text[range])));
    }

    [Theory]
    [InlineData("(a", "leaves a group open")]
    [InlineData("a)", "closes a group that is not open")]
    [InlineData("[a", "leaves a bracket open")]
    [InlineData("*a", "repeats nothing")]
    [InlineData(@"\b", @"has \b")]
    [InlineData(@"(a)\1", @"has \1")]
    [InlineData(@"\p{Script=Greek}", @"has \p{Script=Greek}")]
    [InlineData("[[:alpha:]]", "has a POSIX bracket [:...:]")]
    [InlineData("(?m:a)", "has the group (?m:")]
    [InlineData("🙂", "names a character beyond U+FFFF")]
    [InlineData("[z-a]", "has a range that runs backwards")]
    public void What_has_no_counterpart_is_refused(string pattern, string reason) =>
        Assert.EndsWith(reason, Assert.Throws<CoppiceException>(() => Read(pattern)).Message, StringComparison.Ordinal);

    [Fact]
    public void Nesting_without_end_is_refused()
    {
        Assert.Throws<CoppiceException>(() => Read(new string('(', 5000)));
        Assert.Throws<CoppiceException>(() => Read(new string('[', 5000)));
        Assert.Contains("characters, wanted a pattern of at most", Assert.Throws<CoppiceException>(() => Read(new string('a', 30_000))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pattern_that_backtracks_without_end_is_given_up()
    {
        Pattern pattern = Read(@"(?:1|11)+x");
        Assert.Contains("took more than", Assert.Throws<CoppiceException>(() => pattern.Find(new string('1', 80) + "?x", [])).Message, StringComparison.Ordinal);
    }

    static Pattern Read(string pattern)
    {
        using JsonDocument json = JsonDocument.Parse($$"""{"Regex": {{JsonSerializer.Serialize(pattern)}}}""");
        return Pattern.Read(new JsonPart(json.RootElement));
    }
}

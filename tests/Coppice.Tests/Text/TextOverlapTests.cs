using Coppice.Text;

namespace Coppice.Tests.Text;

public class TextOverlapTests
{
    const string One = "The quick brown fox jumps over the lazy dog at noon.", Other = "Pack my box with five dozen liquor jugs, and a few more.";

    [Theory]
    [InlineData(One, One, 1)]
    [InlineData(One, "  " + One + " \r\n" + Other, 0.5)]
    [InlineData(One, Other, 0)]
    [InlineData("same", "same", 0)]
    [InlineData(One, "", 0)]
    public void Lines_that_both_have_are_counted_whatever_the_white_space_around_them(string seen, string judged, double share) =>
        Assert.Equal(share, TextOverlap.Share(new Corpus("a", [new Document("a", seen)]), new Corpus("b", [new Document("b", judged)])));
}

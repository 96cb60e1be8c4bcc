using Coppice.Text.PreTokenizers;

namespace Coppice.Tests.Text.PreTokenizers;

public class ByteAlphabetTests
{
    [Theory]
    [InlineData(0x00, 'Ā')]
    [InlineData((byte)' ', 'Ġ')]
    [InlineData((byte)'\n', 'Ċ')]
    [InlineData((byte)'\t', 'ĉ')]
    [InlineData((byte)'!', '!')]
    [InlineData((byte)'~', '~')]
    [InlineData(0x7F, 'ġ')]
    [InlineData(0xA0, 'ł')]
    [InlineData(0xA1, '¡')]
    [InlineData(0xAD, 'Ń')]
    [InlineData(0xFF, 'ÿ')]
    public void Spells_bytes_as_GPT2_does(byte value, char spelling) => Assert.Equal(spelling, ByteAlphabet.Char(value));

    [Fact]
    public void Every_byte_has_a_spelling_of_its_own_that_parses_back()
    {
        byte[] all = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];
        string spelling = ByteAlphabet.Spell(all);
        Assert.Equal(256, spelling.Distinct().Count());
        Assert.Equal(all, ByteAlphabet.Parse(spelling));
        Assert.Null(ByteAlphabet.Parse("a b"));
    }
}

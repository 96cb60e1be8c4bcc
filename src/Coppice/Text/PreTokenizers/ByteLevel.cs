using Coppice.Text.Patterns;

namespace Coppice.Text.PreTokenizers;

/// <summary>GPT-2's: a space in front where asked for, words by <see cref="Gpt2Pattern"/> where asked for, and their bytes in place of characters.</summary>
sealed record ByteLevel(bool AddPrefixSpace, bool UseRegex) : PreTokenizer
{
    static readonly Gpt2Words Words = new();

    public static ByteLevel From(JsonPart part)
    {
        part.Only("add_prefix_space", "trim_offsets", "use_regex");
        return new ByteLevel(part.Flag("add_prefix_space", true), part.Flag("use_regex", true));
    }

    public override void Split(Pieces pieces)
    {
        if (AddPrefixSpace)
            pieces.Rewrite((piece, _) => piece[0] == ' ' ? piece : " " + piece);
        if (UseRegex)
            pieces.Split(Words, SplitBehavior.Isolated);
        pieces.BecomeBytes();
    }
}

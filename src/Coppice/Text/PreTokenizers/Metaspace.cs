using Coppice.Text.Patterns;

namespace Coppice.Text.PreTokenizers;

/// <summary>Where a space is put in front of a text that has none.</summary>
enum PrependScheme
{
    /// <summary>Nowhere.</summary>
    Never,
    /// <summary>At the beginning of what is encoded.</summary>
    First,
    /// <summary>There, and after every added token.</summary>
    Always,
}

/// <summary>SentencePiece's: spaces become a visible character, which begins words.</summary>
sealed record Metaspace(char Replacement, PrependScheme Scheme, bool Splits) : PreTokenizer
{
    readonly LiteralPattern space = new(Replacement.ToString());

    public static Metaspace From(JsonPart part)
    {
        part.Only("replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep");
        return new Metaspace(ReplacementOf(part), SchemeOf(part), part.Flag("split", true));
    }

    /// <summary>The visible space of a part.</summary>
    public static char ReplacementOf(JsonPart part) => part.Text("replacement") is [var replacement] ? replacement : throw part.Get("replacement").Error("is not one character of the Basic Multilingual Plane");

    /// <summary>"prepend_scheme", or the older "add_prefix_space".</summary>
    public static PrependScheme SchemeOf(JsonPart part)
    {
        bool prepends = part.Flag("add_prefix_space", true);
        string scheme = part.Text("prepend_scheme", prepends ? "always" : "never");
        if (!prepends && scheme != "never")
            throw part.Error($"has prepend_scheme '{scheme}' and add_prefix_space false");
        return scheme switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            _ => throw part.Get("prepend_scheme").Error($"is '{scheme}', wanted always, first or never"),
        };
    }

    public override void Split(Pieces pieces)
    {
        pieces.Rewrite((piece, isFirst) =>
        {
            string replaced = piece.Replace(' ', Replacement);
            return replaced[0] != Replacement && (Scheme == PrependScheme.Always || Scheme == PrependScheme.First && isFirst) ? Replacement + replaced : replaced;
        });
        if (Splits)
            pieces.Split(space, SplitBehavior.MergedWithNext);
    }

    public bool Equals(Metaspace? other) => other is not null && (Replacement, Scheme, Splits) == (other.Replacement, other.Scheme, other.Splits);

    public override int GetHashCode() => HashCode.Combine(Replacement, Scheme, Splits);
}

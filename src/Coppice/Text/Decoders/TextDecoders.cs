using System.Text;
using Coppice.Text.Patterns;
using Coppice.Text.PreTokenizers;

namespace Coppice.Text.Decoders;

/// <summary>Visible spaces become spaces; those of the first token were put there by encoding and go.</summary>
sealed record MetaspaceDecoder(char Replacement, PrependScheme Scheme) : Decoder
{
    public static MetaspaceDecoder From(JsonPart part)
    {
        part.Only("replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep");
        return new MetaspaceDecoder(Metaspace.ReplacementOf(part), Metaspace.SchemeOf(part));
    }

    public override string Decode(string token, TokenPlace place) => place.IsFirst && Scheme != PrependScheme.Never
        ? token.Replace(Replacement.ToString(), "", StringComparison.Ordinal)
        : token.Replace(Replacement, ' ');
}

/// <summary>A token that begins a word has a space in front; English punctuation and contractions close up where asked for.</summary>
sealed record WordPieceDecoder(string Prefix, bool CleansUp) : Decoder
{
    static readonly (string Spaced, string Closed)[] Closings =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    public override string Decode(string token, TokenPlace place)
    {
        string text = place.IsFirst ? token : token.StartsWith(Prefix, StringComparison.Ordinal) ? token[Prefix.Length..] : " " + token;
        if (CleansUp)
            foreach ((string spaced, string closed) in Closings)
                text = text.Replace(spaced, closed, StringComparison.Ordinal);
        return text;
    }
}

/// <summary>A suffix that ends words becomes a space, and nothing at the end.</summary>
sealed record SuffixDecoder(string Suffix) : Decoder
{
    public override string Decode(string token, TokenPlace place) => Suffix.Length == 0 ? token : token.Replace(Suffix, place.IsLast ? "" : " ", StringComparison.Ordinal);
}

/// <summary>Takes a character away at a token's ends, or, behind a Fuse, at the text's.</summary>
sealed record StripDecoder(string Content, int Start, int Stop, bool IsFused) : Decoder
{
    public static StripDecoder From(JsonPart part, bool isFused)
    {
        part.Only("content", "start", "stop");
        StripDecoder strip = new(part.Text("content"), part.Integer("start", 0), part.Integer("stop", 0), isFused);
        if (strip.Content.EnumerateRunes().Count() != 1)
            throw part.Get("content").Error("is not one character");
        // a token alone does not tell how much of the text is left to take
        if (isFused && (strip.Start > 1 || strip.Stop > 1))
            throw part.Error("takes more than one character from a fused text, which is not supported");
        return strip;
    }

    public override string Decode(string token, TokenPlace place)
    {
        for (int i = 0; i < Start && (!IsFused || place.IsFirst) && token.StartsWith(Content, StringComparison.Ordinal); i++)
            token = token[Content.Length..];
        for (int i = 0; i < Stop && (!IsFused || place.IsLast) && token.EndsWith(Content, StringComparison.Ordinal); i++)
            token = token[..^Content.Length];
        return token;
    }
}

/// <summary>Matches within a token become a text.</summary>
sealed record ReplaceDecoder(Normalizers.Replace Replacement) : Decoder
{
    public static ReplaceDecoder From(JsonPart part, bool isFused)
    {
        Normalizers.Replace replacement = Normalizers.Replace.From(part);
        return !isFused || replacement.Pattern is LiteralPattern { Text.Length: 1 }
            ? new ReplaceDecoder(replacement)
            : throw part.Error("replaces what may lie across tokens of a fused text, which is not supported");
    }

    public override string Decode(string token, TokenPlace place) => Replacement.Normalize(token);
}

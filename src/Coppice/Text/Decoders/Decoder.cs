using Coppice.Text.PreTokenizers;

namespace Coppice.Text.Decoders;

/// <summary>Where a token stands among those that are decoded.</summary>
/// <param name="IsFirst">Nothing but control tokens stands before it.</param>
/// <param name="IsLast">Nothing stands behind it; while text is decoded as it comes, no token is known to be the last.</param>
/// <param name="IsAdded">It is an added token.</param>
readonly record struct TokenPlace(bool IsFirst, bool IsLast = false, bool IsAdded = false);

/// <summary>Turns a token's spelling into the text that it stands for, which depends on no other token: so text can be decoded as it comes. Bytes that may be part of a character are spelled by <see cref="RawBytes"/>.</summary>
abstract record Decoder
{
    /// <summary>What a token, or what an earlier decoder made of it, stands for.</summary>
    public abstract string Decode(string token, TokenPlace place);

    /// <summary>Reads a "decoder".</summary>
    public static Decoder Read(JsonPart part) => Read(part, isFused: false);

    /// <param name="part">The decoder.</param>
    /// <param name="isFused">Whether a Fuse stands before it, so that it works on the text as a whole.</param>
    public static Decoder Read(JsonPart part, bool isFused) => part.Type() switch
    {
        "Sequence" => DecoderSequence.From(part),
        "ByteLevel" => new ByteLevelDecoder().After(part.Only("add_prefix_space", "trim_offsets", "use_regex")),
        "Metaspace" => MetaspaceDecoder.From(part),
        "WordPiece" => new WordPieceDecoder(part.Only("prefix", "cleanup").Text("prefix", "##"), part.Flag("cleanup", true)),
        "BPEDecoder" => new SuffixDecoder(part.Only("suffix").Text("suffix", "</w>")),
        "ByteFallback" => new ByteFallback().After(part.Only()),
        "Fuse" => new Fuse().After(part.Only()),
        "Strip" => StripDecoder.From(part, isFused),
        "Replace" => ReplaceDecoder.From(part, isFused),
        "CTC" => throw part.Error("has type 'CTC', which joins sounds and not texts; it is not supported"),
        string type => throw part.Error($"has type '{type}', which is no decoder that we know: Sequence, ByteLevel, Metaspace, WordPiece, BPEDecoder, ByteFallback, Fuse, Strip, Replace"),
    };

    // so that a case that takes no options can check that there are none
    Decoder After(JsonPart _) => this;
}

/// <summary>One after another.</summary>
sealed record DecoderSequence(IReadOnlyList<Decoder> Parts) : Decoder
{
    public static DecoderSequence From(JsonPart part)
    {
        List<Decoder> parts = [];
        foreach (JsonPart decoder in part.Only("decoders").Get("decoders").Items())
            parts.Add(Read(decoder, parts.Any(earlier => earlier is Fuse)));
        return new DecoderSequence(parts);
    }

    public override string Decode(string token, TokenPlace place) => Parts.Aggregate(token, (current, part) => part.Decode(current, place));
}

/// <summary>Without a decoder tokens are words: a space between them.</summary>
sealed record SpacedWords : Decoder
{
    public override string Decode(string token, TokenPlace place) => place.IsFirst ? token : " " + token;
}

/// <summary>Joins what stands before it into one text; for what stands behind, see their own.</summary>
sealed record Fuse : Decoder
{
    public override string Decode(string token, TokenPlace place) => token;
}

/// <summary>Bytes from GPT-2's alphabet. An added token, and one with another character, is text.</summary>
sealed record ByteLevelDecoder : Decoder
{
    public override string Decode(string token, TokenPlace place) => !place.IsAdded && ByteAlphabet.Parse(token) is { } bytes ? RawBytes.Spell(bytes) : token;
}

/// <summary>&lt;0x0A> is a byte.</summary>
sealed record ByteFallback : Decoder
{
    public override string Decode(string token, TokenPlace place) =>
        token is ['<', '0', 'x', var high, var low, '>'] && char.IsAsciiHexDigit(high) && char.IsAsciiHexDigit(low) ? RawBytes.Spell(Convert.FromHexString([high, low])) : token;
}

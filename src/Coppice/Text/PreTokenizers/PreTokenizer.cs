using System.Text;
using Coppice.Text.Patterns;

namespace Coppice.Text.PreTokenizers;

/// <summary>Cuts a text into words, which a model encodes one by one. Its properties are all that decides what it does.</summary>
abstract record PreTokenizer
{
    /// <summary>Cuts every piece further.</summary>
    public abstract void Split(Pieces pieces);

    /// <summary>Reads a "pre_tokenizer".</summary>
    public static PreTokenizer Read(JsonPart part) => part.Type() switch
    {
        "Sequence" => new PreTokenizerSequence([.. part.Only("pretokenizers").Get("pretokenizers").Items().Select(Read)]),
        "ByteLevel" => ByteLevel.From(part),
        "Metaspace" => Metaspace.From(part),
        "Split" => PatternSplit.From(part),
        "Whitespace" => new PatternSplit(new WordPattern(), SplitBehavior.Removed, Inverted: true).After(part.Only()),
        "WhitespaceSplit" => new PatternSplit(WhiteSpace, SplitBehavior.Removed).After(part.Only()),
        "BertPreTokenizer" => new PreTokenizerSequence([new PatternSplit(WhiteSpace, SplitBehavior.Removed), new PatternSplit(Punctuation, SplitBehavior.Isolated)]).After(part.Only()),
        "Punctuation" => new PatternSplit(Punctuation, PatternSplit.Behavior(part.Only("behavior"), SplitBehavior.Isolated)),
        "Digits" => new PatternSplit(new CharacterPattern("numeric", CharacterClasses.IsNumeric), part.Only("individual_digits").Flag("individual_digits", false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous),
        "CharDelimiterSplit" => new PatternSplit(new LiteralPattern(part.Only("delimiter").Text("delimiter")), SplitBehavior.Removed),
        string type => throw part.Error($"has type '{type}', which is no pre-tokenizer that we know: Sequence, ByteLevel, Metaspace, Split, Whitespace, WhitespaceSplit, BertPreTokenizer, Punctuation, Digits, CharDelimiterSplit"),
    };

    static CharacterPattern WhiteSpace { get; } = new("white space", Rune.IsWhiteSpace);

    static CharacterPattern Punctuation { get; } = new("punctuation", CharacterClasses.IsPunctuation);

    // so that a case that takes no options can check that there are none
    PreTokenizer After(JsonPart _) => this;
}

/// <summary>One after another, each cutting what the one before it left.</summary>
sealed record PreTokenizerSequence(IReadOnlyList<PreTokenizer> Parts) : PreTokenizer
{
    public override void Split(Pieces pieces)
    {
        foreach (PreTokenizer part in Parts)
            part.Split(pieces);
    }

    public override string ToString() => string.Join(" > ", Parts);
}

/// <summary>Cuts at a pattern.</summary>
sealed record PatternSplit(Pattern Pattern, SplitBehavior Matches, bool Inverted = false) : PreTokenizer
{
    public static PatternSplit From(JsonPart part)
    {
        part.Only("pattern", "behavior", "invert");
        return new PatternSplit(Pattern.Read(part.Get("pattern")), Behavior(part), part.Flag("invert", false));
    }

    /// <summary>Reads "behavior", in Rust's spelling or in Python's.</summary>
    public static SplitBehavior Behavior(JsonPart part, SplitBehavior? absent = null)
    {
        if (part.Find("behavior") is not { } field)
            return absent ?? throw part.Error("has no 'behavior'");
        string name = field.Text();
        return Enum.TryParse(name.Replace("_", "", StringComparison.Ordinal), ignoreCase: true, out SplitBehavior behavior) && !char.IsAsciiDigit(name[0])
            ? behavior
            : throw field.Error($"is '{name}', wanted {string.Join(", ", Enum.GetNames<SplitBehavior>())}");
    }

    public override void Split(Pieces pieces) => pieces.Split(Pattern, Matches, Inverted);
}

using System.Text;

namespace Coppice.Text.Normalizers;

/// <summary>Rewrites a text before it is cut into words. Its properties are all that decides what it does.</summary>
abstract record Normalizer
{
    /// <summary>The rewritten text.</summary>
    public abstract string Normalize(string text);

    /// <summary>The same for a part of a text, between added tokens: whether it begins and whether it ends the text.</summary>
    public virtual string NormalizeSegment(string text, bool isFirst, bool isLast) => Normalize(text);

    /// <summary>Reads a "normalizer".</summary>
    public static Normalizer Read(JsonPart part) => part.Type() switch
    {
        "Sequence" => new NormalizerSequence([.. part.Only("normalizers").Get("normalizers").Items().Select(Read)]),
        "NFC" => new UnicodeForm(NormalizationForm.FormC).After(part.Only()),
        "NFD" => new UnicodeForm(NormalizationForm.FormD).After(part.Only()),
        "NFKC" => new UnicodeForm(NormalizationForm.FormKC).After(part.Only()),
        "NFKD" => new UnicodeForm(NormalizationForm.FormKD).After(part.Only()),
        "Lowercase" => new Lowercase().After(part.Only()),
        "StripAccents" => new StripAccents().After(part.Only()),
        "Nmt" => new Nmt().After(part.Only()),
        "ByteLevel" => new ByteLevelNormalizer().After(part.Only("add_prefix_space", "trim_offsets", "use_regex")),
        "Strip" => new Strip(part.Only("strip_left", "strip_right").Flag("strip_left", true), part.Flag("strip_right", true)),
        "Prepend" => new Prepend(part.Only("prepend").Text("prepend")),
        "Replace" => Replace.From(part),
        "Precompiled" => new Precompiled(part.Only("precompiled_charsmap").Find("precompiled_charsmap") is { } map ? PrecompiledMap.FromBase64(map) : null),
        "BertNormalizer" => BertNormalizer.From(part),
        string type => throw part.Error($"has type '{type}', which is no normalizer that we know: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Nmt, ByteLevel, Strip, Prepend, Replace, Precompiled, BertNormalizer"),
    };

    // so that a case that takes no options can check that there are none
    Normalizer After(JsonPart _) => this;
}

/// <summary>One after another.</summary>
sealed record NormalizerSequence(IReadOnlyList<Normalizer> Parts) : Normalizer
{
    public override string Normalize(string text) => Parts.Aggregate(text, (current, part) => part.Normalize(current));

    public override string ToString() => string.Join(" > ", Parts);
}

/// <summary>NFC, NFD, NFKC or NFKD.</summary>
sealed record UnicodeForm(NormalizationForm Form) : Normalizer
{
    public override string Normalize(string text) => UnicodeNormalization.Normalize(text, Form);
}

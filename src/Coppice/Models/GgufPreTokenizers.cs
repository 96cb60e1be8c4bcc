using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.Normalizers;
using Coppice.Text.PreTokenizers;

namespace Coppice.Models;

/// <summary>How llama.cpp cuts texts under a name of <c>tokenizer.ggml.pre</c>, in tokenizer.json's terms.</summary>
/// <param name="Names">The names; the first is written.</param>
/// <param name="IgnoresMerges">Whether a word that is a token is that token.</param>
/// <param name="Normalizer">tokenizer.json's "normalizer". llama.cpp itself normalizes none of these texts.</param>
/// <param name="PreTokenizer">tokenizer.json's "pre_tokenizer".</param>
sealed record GgufPreTokenizer(string[] Names, bool IgnoresMerges, string Normalizer, string PreTokenizer)
{
    const string Bytes = """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}""";
    const string Gpt2 = """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}""";
    const string Nfc = """{"type": "NFC"}""";

    static readonly GgufPreTokenizer[] Known =
    [
        new(["gpt-2", "phi-2", "mpt", "olmo", "roberta-bpe", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de"], false, "null", Gpt2),
        new(["llama-bpe", "llama3", "llama-v3", "falcon3"], true, "null",
            Cut(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
        new(["dbrx", "smaug-bpe"], false, "null",
            Cut(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
        new(["qwen2", "stablelm2", "deepseek-r1-qwen"], false, Nfc,
            Cut(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
        new(["qwen35"], false, Nfc,
            Cut(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
        new(["starcoder", "smollm", "refact", "codeshell"], false, "null",
            $$"""{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, {{Gpt2}}]}"""),
        new(["deepseek-v3"], false, """{"type": "Sequence", "normalizers": []}""",
            Cut(@"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
                @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^" + "\r\n" + @"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[" + "\r\n" + @"]*|\s*[" + "\r\n" + @"]+|\s+(?!\S)|\s+")),
        new(["gpt-4o", "llama4"], false, "null",
            Cut(@"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
        new(["tekken"], true, "null",
            Cut(@"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
        new(["bloom", "poro-chat", "gpt3-finnish"], false, "null", Cut(@" ?[^(\s|[.,!?…。，、।۔،])]+")),
    ];

    /// <summary>The one of a name.</summary>
    /// <exception cref="CoppiceException">There is none.</exception>
    public static GgufPreTokenizer Of(string name) => Known.FirstOrDefault(known => known.Names.Contains(name))
        ?? throw new CoppiceException($"tokenizer.ggml.pre is '{name}', which is not known; known are {string.Join(", ", Known.SelectMany(known => known.Names))}");

    /// <summary>The one that cuts texts as a tokenizer does, or null.</summary>
    public static GgufPreTokenizer? Of(TokenizerParts parts, bool ignoresMerges) =>
        Known.FirstOrDefault(known => known.IgnoresMerges == ignoresMerges && known.Describe() == $"{Simple(parts.Normalizer)} | {parts.PreTokenizer}");

    string Describe()
    {
        TokenizerParts parts = TokenizerJson.Compose($$"""{"normalizer": {{Normalizer}}, "pre_tokenizer": {{PreTokenizer}}}""", Text.TokenModels.Bpe.Empty, []);
        return $"{Simple(parts.Normalizer)} | {parts.PreTokenizer}";
    }

    // a sequence of nothing is nothing
    static Normalizer? Simple(Normalizer? normalizer) => normalizer is NormalizerSequence { Parts: [] } ? null : normalizer is NormalizerSequence { Parts: [var only] } ? only : normalizer;

    static string Cut(params string[] patterns) =>
        $$"""{"type": "Sequence", "pretokenizers": [{{string.Concat(patterns.Select(pattern => $$"""{"type": "Split", "pattern": {"Regex": "{{System.Text.Json.JsonEncodedText.Encode(pattern)}}"}, "behavior": "Isolated", "invert": false}, """))}}{{Bytes}}]}""";
}

using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>
/// Hugging Face's tokenizer.json for byte-level BPE, and the tokenizer_config.json beside it that names BOS and EOS. What would make another runtime
/// split a text differently (normalizer, other pre-tokenizer or model) is refused by name.
/// </summary>
static class TokenizerJson
{
    public const string FileName = "tokenizer.json", ConfigFileName = "tokenizer_config.json";

    public static ByteLevelBpe Load(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            string config = Path.Combine(Path.GetDirectoryName(path) ?? "", ConfigFileName);
            using JsonDocument? named = File.Exists(config) ? JsonDocument.Parse(File.ReadAllBytes(config)) : null;
            return Read(document.RootElement, named?.RootElement);
        }
        catch (Exception error) when (error is CoppiceException or JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            // what is quoted from the file must not break the line
            string reason = (error is CoppiceException ? "" : "not a tokenizer.json: ") + error.Message;
            throw new CoppiceException($"{path}: {string.Concat(reason.Take(400).Select(letter => char.IsControl(letter) ? '?' : letter))}", error);
        }
    }

    public static ByteLevelBpe Read(JsonElement root, JsonElement? config)
    {
        JsonElement model = root.GetProperty("model");
        Check(model, root);
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        foreach (JsonProperty entry in model.GetProperty("vocab").EnumerateObject())
            vocabulary[entry.Name] = entry.Value.GetInt32();

        Dictionary<int, AddedToken> added = [];
        foreach (JsonElement entry in Items(root, "added_tokens"))
        {
            string content = entry.GetProperty("content").GetString()!;
            foreach (string flag in (string[])["single_word", "lstrip", "rstrip"])
                if (Flag(entry, flag))
                    throw new CoppiceException($"added token '{content}' has {flag}: true, which is not supported");
            int id = entry.GetProperty("id").GetInt32();
            if (content.Length == 0 || vocabulary.TryGetValue(content, out int other) && other != id)
                throw new CoppiceException($"added token {id}, '{content}', is empty or has another id in the vocabulary");
            added[id] = new AddedToken(content, Flag(entry, "special"));
        }
        string[] tokens = InOrder(vocabulary, added);
        (int, int, int)[] merges = [.. Items(model, "merges").Select(merge => ReadMerge(merge, vocabulary))];

        string postProcessor = root.TryGetProperty("post_processor", out JsonElement post) ? post.GetRawText() : "null";
        int? bos = Named("bos_token") ?? TemplateStart(post) ?? Id("<|endoftext|>"), eos = Named("eos_token") ?? Id("<|endoftext|>");
        return new ByteLevelBpe(tokens, merges, added, bos, eos, postProcessor);

        // "bos_token": "<s>" or {"content": "<s>"}
        int? Named(string role)
        {
            if (config is not { } settings || !settings.TryGetProperty(role, out JsonElement token) || token.ValueKind == JsonValueKind.Null)
                return null;
            string content = (token.ValueKind == JsonValueKind.Object ? token.GetProperty("content") : token).GetString()!;
            return Id(content) ?? throw new CoppiceException($"{ConfigFileName} names '{content}' as {role}, but it is not an added token");
        }

        int? TemplateStart(JsonElement post) =>
            Type(post) == "TemplateProcessing" && Items(post, "single").FirstOrDefault() is { ValueKind: JsonValueKind.Object } first
            && first.TryGetProperty("SpecialToken", out JsonElement token) ? Id(token.GetProperty("id").GetString()!) : null;

        int? Id(string content) => added.Where(pair => pair.Value.Content == content).Select(pair => (int?)pair.Key).FirstOrDefault();
    }

    public static void Write(ByteLevelBpe tokenizer, Stream stream)
    {
        using Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        foreach ((int id, AddedToken token) in tokenizer.Added.OrderBy(pair => pair.Key))
        {
            json.WriteStartObject();
            json.WriteNumber("id", id);
            json.WriteString("content", token.Content);
            foreach (string flag in (string[])["single_word", "lstrip", "rstrip", "normalized"])
                json.WriteBoolean(flag, false);
            json.WriteBoolean("special", token.IsControl);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNull("normalizer");
        WriteByteLevel(json, "pre_tokenizer");
        json.WritePropertyName("post_processor");
        json.WriteRawValue(tokenizer.PostProcessor);
        WriteByteLevel(json, "decoder");

        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteString("continuing_subword_prefix", "");
        json.WriteString("end_of_word_suffix", "");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", false);
        json.WriteStartObject("vocab");
        for (int id = 0; id < tokenizer.Count; id++)
            json.WriteNumber(tokenizer.Token(id), id);
        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach ((int left, int right, _) in tokenizer.Merges)
            json.WriteStringValue($"{tokenizer.Token(left)} {tokenizer.Token(right)}");
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    public static void WriteConfig(ByteLevelBpe tokenizer, Stream stream)
    {
        using Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        json.WriteBoolean("clean_up_tokenization_spaces", false);
        if (tokenizer.BosId is int bos)
            json.WriteString("bos_token", tokenizer.Token(bos));
        if (tokenizer.EosId is int eos)
            json.WriteString("eos_token", tokenizer.Token(eos));
        json.WriteEndObject();
    }

    static void WriteByteLevel(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject(name);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", true);
        json.WriteEndObject();
    }

    static void Check(JsonElement model, JsonElement root)
    {
        // files from before 2020 give the model no type
        if ((Type(model) ?? "BPE") != "BPE")
            throw new CoppiceException($"the model is {Type(model)}; only byte-level BPE is supported");
        foreach (string flag in (string[])["byte_fallback", "ignore_merges"])
            if (Flag(model, flag))
                throw new CoppiceException($"the model has {flag}: true, which is not supported");
        foreach (string affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
            if (model.TryGetProperty(affix, out JsonElement text) && text.ValueKind == JsonValueKind.String && text.GetString() != "")
                throw new CoppiceException($"the model has {affix} '{text.GetString()}', which is not supported");
        if (Type(Part("normalizer")) is string normalizer)
            throw new CoppiceException($"the normalizer {normalizer} is not supported; only none is");
        JsonElement split = Part("pre_tokenizer"), decoder = Part("decoder"), post = Part("post_processor");
        if (Type(split) != "ByteLevel")
            throw new CoppiceException($"the pre-tokenizer is {Describe(split)}; only ByteLevel, GPT-2's, is supported");
        if (Flag(split, "add_prefix_space"))
            throw new CoppiceException("the pre-tokenizer ByteLevel has add_prefix_space: true, which is not supported");
        if (split.TryGetProperty("use_regex", out JsonElement regex) && regex.ValueKind == JsonValueKind.False)
            throw new CoppiceException("the pre-tokenizer ByteLevel has use_regex: false, which is not supported");
        if (Type(decoder) != "ByteLevel")
            throw new CoppiceException($"the decoder is {Describe(decoder)}; only ByteLevel is supported");
        if (Type(post) is not (null or "ByteLevel" or "TemplateProcessing"))
            throw new CoppiceException($"the post-processor is {Describe(post)}; only ByteLevel and TemplateProcessing are supported");

        JsonElement Part(string name) => root.TryGetProperty(name, out JsonElement part) ? part : default;
    }

    // "Sequence (Digits, ByteLevel)"
    static string Describe(JsonElement part) => (Type(part) ?? "absent")
        + (Type(part) == "Sequence" && part.TryGetProperty("pretokenizers", out JsonElement parts) ? $" ({string.Join(", ", parts.EnumerateArray().Select(Type))})" : "");

    static string? Type(JsonElement part) =>
        part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out JsonElement type) ? type.GetString() : null;

    static bool Flag(JsonElement part, string name) => part.TryGetProperty(name, out JsonElement flag) && flag.ValueKind == JsonValueKind.True;

    static IEnumerable<JsonElement> Items(JsonElement part, string name) =>
        part.TryGetProperty(name, out JsonElement items) && items.ValueKind == JsonValueKind.Array ? items.EnumerateArray() : [];

    static string[] InOrder(Dictionary<string, int> vocabulary, Dictionary<int, AddedToken> added)
    {
        string?[] tokens = new string?[vocabulary.Keys.Union(added.Values.Select(token => token.Content)).Count()];
        foreach ((string token, int id) in vocabulary.Concat(added.Select(pair => KeyValuePair.Create(pair.Value.Content, pair.Key))))
        {
            if ((uint)id >= (uint)tokens.Length || tokens[id] is string other && other != token)
                throw new CoppiceException($"token '{token}' has id {id}; the {tokens.Length} ids must be 0 to {tokens.Length - 1}, each once");
            tokens[id] = token;
        }
        return tokens!;
    }

    // "a b" or ["a", "b"]
    static (int Left, int Right, int Merged) ReadMerge(JsonElement merge, Dictionary<string, int> vocabulary)
    {
        string[] pair = merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(part => part.GetString()!)] : merge.GetString()!.Split(' ');
        if (pair.Length != 2)
            throw new CoppiceException($"the merge {merge.GetRawText()} is not two tokens");
        return (Id(pair[0]), Id(pair[1]), Id(pair[0] + pair[1]));

        int Id(string token) => vocabulary.TryGetValue(token, out int id) ? id
            : throw new CoppiceException($"the merge {merge.GetRawText()} needs the token '{token}', which the vocabulary has not");
    }
}

using System.Text;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>What single tokens are for, the chat template, and the files beside tokenizer.json that say so.</summary>
sealed record TokenizerRoles
{
    public const string ConfigFile = "tokenizer_config.json", SpecialTokensFile = "special_tokens_map.json", TemplateFile = "chat_template.jinja";

    const string EndOfText = "<|endoftext|>";

    /// <summary>The token that starts a document.</summary>
    public int? Bos { get; init; }

    /// <summary>The token that ends a document.</summary>
    public int? Eos { get; init; }

    /// <summary>A Jinja template for conversations.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>The files as they were read, kept for writing them back.</summary>
    public IReadOnlyList<(string Name, byte[] Bytes)> Files { get; init; } = [];

    /// <summary>These, and of others what these leave open.</summary>
    public TokenizerRoles Or(TokenizerRoles others) => this with { Bos = Bos ?? others.Bos, Eos = Eos ?? others.Eos, ChatTemplate = ChatTemplate ?? others.ChatTemplate };

    /// <summary>Reads the files of a folder. Where none of them names BOS or EOS, the post-processor's first token is BOS, or &lt;|endoftext|> is both.</summary>
    public static TokenizerRoles Read(string folder, TokenizerParts parts)
    {
        (string Name, byte[] Bytes)[] files = [.. from name in (string[])[ConfigFile, SpecialTokensFile, TemplateFile] let path = Path.Combine(folder, name) where File.Exists(path) select (name, TokenizerFolder.ReadBytes(path))];
        JsonElement config = Parsed(ConfigFile), map = Parsed(SpecialTokensFile);
        return new TokenizerRoles
        {
            Bos = Named("bos_token", TemplateStart(parts)),
            Eos = Named("eos_token", null),
            ChatTemplate = files.FirstOrDefault(file => file.Name == TemplateFile).Bytes is { } template ? Encoding.UTF8.GetString(template) : TemplateOf(config),
            Files = files,
        };

        JsonElement Parsed(string name)
        {
            if (files.FirstOrDefault(file => file.Name == name).Bytes is not { } bytes)
                return default;
            try
            {
                using JsonDocument document = JsonDocument.Parse(bytes);
                return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : throw new CoppiceException($"{Path.Combine(folder, name)}: is no JSON object");
            }
            catch (JsonException error)
            {
                throw new CoppiceException($"{Path.Combine(folder, name)}: is not JSON: {error.Message}", error);
            }
        }

        // "bos_token": "<s>" or {"content": "<s>"}; null says that there is none
        int? Named(string role, int? otherwise)
        {
            foreach ((JsonElement file, string name) in ((JsonElement, string)[])[(config, ConfigFile), (map, SpecialTokensFile)])
                if (file.ValueKind == JsonValueKind.Object && file.TryGetProperty(role, out JsonElement token))
                {
                    if (token.ValueKind == JsonValueKind.Null)
                        return null;
                    JsonPart part = new JsonPart(file).Get(role);
                    string content = token.ValueKind == JsonValueKind.Object ? part.Text("content") : part.Text();
                    return parts.Find(content) ?? throw new CoppiceException($"{name} names '{content}' as {role}, but there is no such token");
                }
            return otherwise ?? parts.Find(EndOfText);
        }
    }

    /// <summary>"chat_template": a text, or several by name, of which "default" is taken.</summary>
    static string? TemplateOf(JsonElement config)
    {
        if (config.ValueKind != JsonValueKind.Object || new JsonPart(config).Find("chat_template") is not { } template)
            return null;
        if (template.Element.ValueKind == JsonValueKind.String)
            return template.Text();
        JsonPart[] named = [.. template.Items()];
        JsonPart? chosen = named.Where(entry => entry.Text("name") == "default").Select(entry => (JsonPart?)entry).FirstOrDefault() ?? named.Select(entry => (JsonPart?)entry).FirstOrDefault();
        return chosen?.Text("template");
    }

    static int? TemplateStart(TokenizerParts parts)
    {
        JsonElement post = parts.Sections.FirstOrDefault(section => section.Name == "post_processor").Value;
        if (post.ValueKind != JsonValueKind.Object)
            return null;
        JsonPart part = new(post);
        IEnumerable<JsonPart> steps = part.Type() == "Sequence" ? part.Items("processors") : [part];
        foreach (JsonPart step in steps)
            if (step.Type() == "TemplateProcessing" && step.Items("single").Select(piece => (JsonPart?)piece).FirstOrDefault()?.Find("SpecialToken") is { } token)
                return parts.Find(token.Text("id"));
            else if (step.Type() is "BertProcessing" or "RobertaProcessing")
                return parts.Find(step.Get("cls").Items().First().Text());
        return null;
    }

    /// <summary>The files to write: those that were read, or a tokenizer_config.json that names BOS and EOS.</summary>
    public IEnumerable<(string Name, Action<Stream> Write)> Write(Func<int, string> spelling)
    {
        foreach ((string name, byte[] bytes) in Files)
            yield return (name, stream => stream.Write(bytes));
        if (!Files.Any(file => file.Name == ConfigFile))
            yield return (ConfigFile, stream => WriteConfig(stream, spelling));
    }

    void WriteConfig(Stream stream, Func<int, string> spelling)
    {
        using Utf8JsonWriter json = new(stream, TokenizerJson.WriterOptions);
        json.WriteStartObject();
        json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        json.WriteBoolean("clean_up_tokenization_spaces", false);
        foreach ((string role, int? id) in ((string, int?)[])[("bos_token", Bos), ("eos_token", Eos)])
            if (id is { } token)
                json.WriteString(role, spelling(token));
            else
                json.WriteNull(role);
        if (ChatTemplate is not null && !Files.Any(file => file.Name == TemplateFile))
            json.WriteString("chat_template", ChatTemplate);
        json.WriteEndObject();
    }
}

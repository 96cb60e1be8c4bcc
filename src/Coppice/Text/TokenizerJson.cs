using System.Text.Encodings.Web;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.Decoders;
using Coppice.Text.Normalizers;
using Coppice.Text.PostProcessors;
using Coppice.Text.PreTokenizers;
using Coppice.Text.TokenModels;

namespace Coppice.Text;

/// <summary>
/// Hugging Face's tokenizer.json. What is not known is refused with its place in the file, since it would split a text otherwise than the model was trained on. Other formats are put in its terms.
/// </summary>
static class TokenizerJson
{
    public const string FileName = "tokenizer.json";

    public static JsonWriterOptions WriterOptions { get; } = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The steps of a file.</summary>
    public static TokenizerParts Read(byte[] json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonPart root = new(document.RootElement);
        root.Only("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model");
        TokenModel model = TokenModel.Read(root.Get("model"));
        return Read(root, model, Added(root, model));
    }

    /// <summary>The steps that a JSON text names, around a model that comes from elsewhere.</summary>
    public static TokenizerParts Compose(string json, TokenModel model, IReadOnlyList<AddedToken> added)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        return Read(new JsonPart(document.RootElement), model, added);
    }

    static TokenizerParts Read(JsonPart root, TokenModel model, IReadOnlyList<AddedToken> added) => new()
    {
        Added = added,
        Normalizer = root.Find("normalizer") is { } normalizer ? Normalizer.Read(normalizer) : null,
        PreTokenizer = root.Find("pre_tokenizer") is { } split ? PreTokenizer.Read(split) : null,
        Model = model,
        PostProcessor = root.Find("post_processor") is { } post ? PostProcessor.Read(post) : null,
        Decoder = root.Find("decoder") is { } decoder ? Decoder.Read(decoder) : null,
        Sections = [.. root.Fields().Where(field => field.Name is not ("added_tokens" or "model")).Select(field => (field.Name, field.Value.Element.Clone()))],
    };

    static List<AddedToken> Added(JsonPart root, TokenModel model)
    {
        Dictionary<int, AddedToken> added = [];
        HashSet<string> contents = new(StringComparer.Ordinal);
        foreach (JsonPart entry in root.Items("added_tokens"))
        {
            AddedToken token = AddedToken.Read(entry);
            if (token.Id >= Vocabulary.MaxId)
                throw entry.Error($"'{token.Content}' has id {token.Id}, wanted less than {Vocabulary.MaxId:N0}");
            if (model.Vocabulary.Find(token.Content) is { } other && other != token.Id)
                throw entry.Error($"'{token.Content}' has id {token.Id}, and {other} in the vocabulary");
            if (model.Vocabulary[token.Id] is { } spelled && spelled != token.Content)
                throw entry.Error($"'{token.Content}' has id {token.Id}, which is '{spelled}' in the vocabulary");
            if (!added.TryAdd(token.Id, token) || !contents.Add(token.Content))
                throw entry.Error($"'{token.Content}', id {token.Id}, is there twice");
        }
        return [.. added.Values];
    }

    /// <summary>Writes a file.</summary>
    public static void Write(TokenizerParts parts, Stream stream)
    {
        using Utf8JsonWriter json = new(stream, WriterOptions);
        json.WriteStartObject();
        foreach (string name in (string[])["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"])
            if (name == "added_tokens")
            {
                json.WriteStartArray(name);
                foreach (AddedToken token in parts.Added.OrderBy(token => token.Id))
                    token.Write(json);
                json.WriteEndArray();
            }
            else
            {
                JsonElement section = parts.Sections.FirstOrDefault(section => section.Name == name).Value;
                json.WritePropertyName(name);
                if (section.ValueKind != JsonValueKind.Undefined)
                    section.WriteTo(json);
                else if (name == "version")
                    json.WriteStringValue("1.0");
                else
                    json.WriteNullValue();
            }
        json.WriteStartObject("model");
        foreach (JsonProperty option in parts.Model.Options.EnumerateObject())
            option.WriteTo(json);
        parts.Model.WriteVocabulary(json);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}

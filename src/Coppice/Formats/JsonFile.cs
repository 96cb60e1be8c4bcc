using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>JSON files that are not trusted.</summary>
static class JsonFile
{
    const int MaxBytes = 100_000_000;

    /// <summary>Reads a whole JSON file of at most 100 MB.</summary>
    public static JsonDocument Read(string path)
    {
        using BinaryFile file = new(path);
        if (file.Length > MaxBytes)
            throw file.Error($"has {file.Length:N0} bytes, wanted JSON of at most {MaxBytes:N0}");
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes, "JSON");
        return Parse(path, bytes);
    }

    /// <summary>JSON that lies in bytes; <paramref name="path"/> says where they are from.</summary>
    public static JsonDocument Parse(string path, byte[] bytes)
    {
        try
        {
            JsonDocument document = JsonDocument.Parse(bytes);
            DecodeTexts(document.RootElement);
            return document;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw FormatError.At(path, $"is not JSON: {error.Message}", error);
        }
    }

    // Text is decoded when it is asked for: what is no Unicode is to be found out here and not at some caller.
    static void DecodeTexts(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String)
            element.GetString();
        else if (element.ValueKind == JsonValueKind.Array)
            foreach (JsonElement item in element.EnumerateArray())
                DecodeTexts(item);
        else if (element.ValueKind == JsonValueKind.Object)
            foreach (JsonProperty property in element.EnumerateObject())
            {
                _ = property.Name;
                DecodeTexts(property.Value);
            }
    }
}

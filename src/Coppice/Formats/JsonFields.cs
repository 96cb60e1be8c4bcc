using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>The fields of a JSON object in a file that is not trusted; a field of the wrong kind is an error that names file and field. A null field counts as absent.</summary>
sealed class JsonFields
{
    readonly JsonElement element;

    /// <summary>The fields of an object.</summary>
    public JsonFields(string path, JsonElement element)
    {
        (Path, this.element) = (path, element);
        if (element.ValueKind != JsonValueKind.Object)
            throw Error($"holds a {element.ValueKind}, wanted an object");
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>How many fields there are.</summary>
    public int Count => element.EnumerateObject().Count();

    /// <summary>Whether a field is there.</summary>
    public bool Has(string name) => element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>Whether a field is there and says null.</summary>
    public bool IsNull(string name) => element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Null;

    /// <summary>Whether a field is there and is a number.</summary>
    public bool IsNumber(string name) => element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number;

    /// <summary>A list of texts.</summary>
    public IReadOnlyList<string> Texts(string name) =>
        [.. Find(name, JsonValueKind.Array).EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Error($"'{name}' holds a {item.ValueKind}, wanted texts"))];

    /// <summary>A list of whole numbers of 32 bits.</summary>
    public IReadOnlyList<int> Integers(string name) =>
        [.. Find(name, JsonValueKind.Array).EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number) ? number : throw Error($"'{name}' holds {item.GetRawText()}, wanted whole numbers"))];

    /// <summary>A list of numbers.</summary>
    public IReadOnlyList<double> Numbers(string name) =>
        [.. Find(name, JsonValueKind.Array).EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number ? item.GetDouble() : throw Error($"'{name}' holds a {item.ValueKind}, wanted numbers"))];

    /// <summary>A text.</summary>
    public string Text(string name, string? absent = null)
    {
        if (!Has(name))
            return absent ?? throw Missing(name);
        try
        {
            return Find(name, JsonValueKind.String).GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw Error($"'{name}' is no Unicode: {error.Message}");
        }
    }

    /// <summary>A whole number of 32 bits.</summary>
    public int Integer(string name, int? absent = null) => !Has(name) ? absent ?? throw Missing(name)
        : Find(name, JsonValueKind.Number).TryGetInt32(out int number) ? number
        : throw Error($"'{name}' is {element.GetProperty(name).GetRawText()}, wanted a whole number");

    /// <summary>A number.</summary>
    public double Number(string name, double? absent = null) => Has(name) ? Find(name, JsonValueKind.Number).GetDouble() : absent ?? throw Missing(name);

    /// <summary>True or false.</summary>
    public bool Flag(string name, bool absent) => Has(name)
        ? element.GetProperty(name).ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind kind => throw Error($"'{name}' is a {kind}, wanted true or false"),
        }
        : absent;

    /// <summary>The fields of an object inside.</summary>
    public JsonFields Object(string name) => new(Path, Find(name, JsonValueKind.Object));

    /// <summary>A failure that names the file.</summary>
    public CoppiceException Error(string message) => FormatError.At(Path, message);

    CoppiceException Missing(string name) => Error($"has no '{name}'");

    JsonElement Find(string name, JsonValueKind wanted)
    {
        JsonElement value = element.GetProperty(name);
        return value.ValueKind == wanted ? value : throw Error($"'{name}' is a {value.ValueKind}, wanted a {wanted}");
    }
}

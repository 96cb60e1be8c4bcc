using System.Globalization;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>A value of a JSON file that is not trusted, and its place in it: every refusal names the place, such as <c>pre_tokenizer.pretokenizers[1].behavior</c>. A null counts as absent.</summary>
readonly struct JsonPart
{
    readonly JsonElement element;
    readonly string parent;
    readonly string? name;
    readonly int index;

    /// <summary>A whole file.</summary>
    public JsonPart(JsonElement root) : this(root, "", "", 0)
    {
    }

    // Places are put together when they are asked for: most of half a million merges never are.
    JsonPart(JsonElement element, string parent, string? name, int index) => (this.element, this.parent, this.name, this.index) = (element, parent, name, index);

    /// <summary>The value itself.</summary>
    public JsonElement Element => element;

    /// <summary>Where it stands; empty for the whole file.</summary>
    public string Path => name is null ? string.Create(CultureInfo.InvariantCulture, $"{parent}[{index}]") : parent.Length == 0 ? name : $"{parent}.{name}";

    /// <summary>A field, or null where there is none.</summary>
    public JsonPart? Find(string name) =>
        element.ValueKind != JsonValueKind.Object ? throw Wanted("an object")
        : element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? new JsonPart(value, Path, name, 0)
        : null;

    /// <summary>A field that has to be there.</summary>
    public JsonPart Get(string name) => Find(name) ?? throw Error($"has no '{name}'");

    /// <summary>A text field.</summary>
    public string Text(string name, string? absent = null) => Find(name) is { } field ? field.Text() : absent ?? throw Error($"has no '{name}'");

    /// <summary>This value as a text.</summary>
    public string Text()
    {
        if (element.ValueKind != JsonValueKind.String)
            throw Wanted("a text");
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw Error($"is no Unicode: {error.Message}");
        }
    }

    /// <summary>A field that is true or false.</summary>
    public bool Flag(string name, bool absent) => Find(name) is not { } field ? absent : field.element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw field.Wanted("true or false"),
    };

    /// <summary>A field that is a whole number of 32 bits, not negative.</summary>
    public int Integer(string name, int? absent = null) => Find(name) is { } field ? field.Integer() : absent ?? throw Error($"has no '{name}'");

    /// <summary>This value as a whole number of 32 bits, not negative.</summary>
    public int Integer() => element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out int number) && number >= 0 ? number : throw Wanted("a whole number that is not negative");

    /// <summary>This value as a finite number.</summary>
    public double Number() => element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out double number) && double.IsFinite(number) ? number : throw Wanted("a number");

    /// <summary>The items of a field that is an array; none where it is absent.</summary>
    public IEnumerable<JsonPart> Items(string name) => Find(name)?.Items() ?? [];

    /// <summary>The items of this array.</summary>
    public IEnumerable<JsonPart> Items()
    {
        if (element.ValueKind != JsonValueKind.Array)
            throw Wanted("an array");
        string path = Path;
        return element.EnumerateArray().Select((item, index) => new JsonPart(item, path, null, index));
    }

    /// <summary>The fields of this object, in order.</summary>
    public IEnumerable<(string Name, JsonPart Value)> Fields()
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw Wanted("an object");
        string path = Path;
        return element.EnumerateObject().Select(field => (field.Name, new JsonPart(field.Value, path, field.Name, 0)));
    }

    /// <summary>The part's "type".</summary>
    public string Type() => Text("type");

    /// <summary>Refuses fields beside "type" that are none of these: what they would change is not known.</summary>
    public JsonPart Only(params ReadOnlySpan<string> names)
    {
        foreach ((string name, JsonPart field) in Fields())
            if (name != "type" && !names.Contains(name))
                throw field.Error($"is not known; {(names.Length == 0 ? "no field is" : $"known are {string.Join(", ", names.ToArray())}")}");
        return this;
    }

    /// <summary>A refusal that names the place.</summary>
    public CoppiceException Error(string message) => new($"{(Path.Length == 0 ? "the file" : Path)} {message}");

    CoppiceException Wanted(string wanted) => Error($"is {Shown()}, wanted {wanted}");

    string Shown()
    {
        string raw = element.GetRawText();
        return raw.Length <= 60 ? raw : raw[..57] + "...";
    }
}

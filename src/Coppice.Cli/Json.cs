using System.Text.Json;
using Coppice.Evaluation;

namespace Coppice.Cli;

/// <summary>Shapes that several documents of --json share.</summary>
static class Json
{
    /// <summary>A number; null where it is not finite, which JSON cannot say.</summary>
    public static void Number(this Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number && double.IsFinite(number))
            json.WriteNumber(name, number);
        else
            json.WriteNull(name);
    }

    public static void Scores(this Utf8JsonWriter json, string name, IEnumerable<Score> scores) => json.Array(name, scores, score =>
    {
        json.WriteString("metric", score.Metric);
        json.Number("value", score.Value);
        json.Number("standardError", score.StandardError);
        json.WriteNumber("samples", score.Samples);
        json.WriteString("signature", score.Signature);
    });

    /// <summary>An array of objects.</summary>
    public static void Array<T>(this Utf8JsonWriter json, string name, IEnumerable<T> items, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
        {
            json.WriteStartObject();
            write(item);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}

using System.Globalization;
using System.Text.Json;
using Coppice.Evaluation;
using Coppice.Report.Data;

namespace Coppice.Cli;

/// <summary>Models side by side, on a terminal and in JSON.</summary>
static class VariantTable
{
    public static void Print(Session session, IEnumerable<Variant> variants) => session.Table(
        ["variant", "bytes", "bits/weight", "bits/byte", "KL, nats/token", "top-1 %", "tokens/s"],
        variants.Select(variant => (IReadOnlyList<string>)
        [
            variant.Name,
            variant.Bytes.ToString("N0", CultureInfo.InvariantCulture),
            Fixed(variant.BitsPerWeight, 2),
            With(variant.BitsPerByte, 1, 3),
            With(variant.Kl, 1, 4),
            With(variant.Top1Agreement, 100, 1),
            variant.TokensPerSecond is { } speed ? Fixed(speed.Value, 0) : "",
        ]));

    public static void Write(Utf8JsonWriter json, Variant variant)
    {
        json.WriteString("name", variant.Name);
        json.WriteNumber("bytes", variant.Bytes);
        json.WriteNumber("bitsPerWeight", variant.BitsPerWeight);
        foreach ((string name, Estimate? estimate) in new[] { ("bitsPerByte", variant.BitsPerByte), ("kl", variant.Kl), ("top1Agreement", variant.Top1Agreement) })
            if (estimate is { } found)
            {
                json.WriteStartObject(name);
                json.Number("value", found.Value);
                json.Number("standardError", found.StandardError);
                json.WriteEndObject();
            }
        if (variant.TokensPerSecond is { } speed)
            json.Number("tokensPerSecond", speed.Value);
    }

    static string With(Estimate? estimate, double scale, int digits) => estimate is not { } found ? ""
        : double.IsFinite(found.StandardError) ? $"{Fixed(scale * found.Value, digits)} ± {Fixed(scale * found.StandardError, digits)}" : Fixed(scale * found.Value, digits);

    static string Fixed(double value, int digits) => value.ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}

using System.Globalization;

namespace Coppice.Cli;

/// <summary>Sizes as people write them: <c>12MB</c>, <c>1.5 GB</c>, <c>800KiB</c>, <c>120000</c>.</summary>
static class ByteSize
{
    static readonly (string Unit, double Bytes)[] Units =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1), ("", 1)];

    public static bool TryParse(string text, out long bytes)
    {
        (string unit, double factor) = Units.First(unit => text.EndsWith(unit.Unit, StringComparison.OrdinalIgnoreCase));
        bool right = double.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out double number)
            && number * factor is > 0 and < 1e18;
        bytes = right ? (long)(number * factor) : 0;
        return right;
    }

    /// <summary>Three digits or so, in powers of a thousand.</summary>
    public static string Show(long bytes) => bytes switch
    {
        < 1_000 => $"{bytes} B",
        < 1_000_000 => (bytes / 1e3).ToString("0.#", CultureInfo.InvariantCulture) + " KB",
        < 1_000_000_000 => (bytes / 1e6).ToString("0.00", CultureInfo.InvariantCulture) + " MB",
        _ => (bytes / 1e9).ToString("0.00", CultureInfo.InvariantCulture) + " GB",
    };
}

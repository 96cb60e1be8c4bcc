using System.Globalization;
using Coppice.Evaluation;

namespace Coppice.Report;

/// <summary>Numbers as readers see them, the same in every culture. A minus is U+2212.</summary>
internal static class Format
{
    const string Superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

    /// <summary>A whole number with thin spaces between thousands.</summary>
    public static string Count(long value) => Minus(value.ToString("#,0", CultureInfo.InvariantCulture)).Replace(',', '\u2009');

    /// <summary>With this many digits after the point.</summary>
    public static string Fixed(double value, int digits) => Minus(value.ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture));

    /// <summary>With a sign always.</summary>
    public static string Signed(double value, int digits)
    {
        string text = Fixed(value, digits);
        return text.StartsWith('−') || text.All(c => c is '0' or '.') ? text : "+" + text;
    }

    /// <summary>A share of one as a percentage.</summary>
    public static string Percent(double share, int digits = 1) => Fixed(100 * share, digits) + "\u2009%";

    /// <summary>To three significant digits.</summary>
    public static string Short(double value) => Value(value, 3);

    /// <summary>Value and error, the error to two digits and the value to the same place; to four digits where no error is known.</summary>
    public static string WithError(Estimate estimate) => WithError(estimate.Value, estimate.StandardError);

    /// <summary>A percentage and its error.</summary>
    public static string PercentWithError(Estimate estimate) => WithError(100 * estimate.Value, 100 * estimate.StandardError) + "\u2009%";

    /// <summary>Value and error.</summary>
    public static string WithError(double value, double error)
    {
        if (!(error > 0))
            return Value(value, 4) + (error == 0 ? " ± 0" : "");
        int power = Exponent(Math.Max(Math.Abs(value), error));
        if (power is < -3 or > 6)
        {
            double scale = Math.Pow(10, -power);
            return $"({WithError(value * scale, error * scale)})×10{Superscript(power)}";
        }
        int digits = Math.Clamp(1 - Exponent(error), 0, 9);
        return $"{Fixed(value, digits)} ± {Fixed(error, digits)}";
    }

    /// <summary>Bytes in the unit that reads best, powers of ten.</summary>
    public static string Bytes(long bytes) => Math.Abs((double)bytes) switch
    {
        < 1e3 => $"{Count(bytes)} B",
        < 1e6 => $"{Fixed(bytes / 1e3, 1)} kB",
        < 1e9 => $"{Fixed(bytes / 1e6, 2)} MB",
        _ => $"{Fixed(bytes / 1e9, 2)} GB",
    };

    /// <summary>A coordinate or a custom property for markup: a plain decimal with a plain minus.</summary>
    public static string Css(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);

    /// <summary>A coordinate in percent of the plot.</summary>
    public static string At(double percent) => Css(percent) + "%";

    static string Value(double value, int significant)
    {
        if (value == 0)
            return "0";
        int power = Exponent(value);
        if (power is < -3 or > 6)
            return $"{Fixed(value * Math.Pow(10, -power), significant - 1)}×10{Superscript(power)}";
        return Fixed(value, Math.Clamp(significant - 1 - power, 0, 9));
    }

    static int Exponent(double value) => value == 0 ? 0 : (int)Math.Floor(Math.Log10(Math.Abs(value)));

    static string Superscript(int power) =>
        (power < 0 ? "⁻" : "") + string.Concat(Math.Abs(power).ToString(CultureInfo.InvariantCulture).Select(digit => Superscripts[digit - '0']));

    // Nothing below zero is left of -0.00.
    static string Minus(string text) => !text.StartsWith('-') ? text : text.Skip(1).All(c => c is '0' or '.' or ',') ? text[1..] : "−" + text[1..];
}

using Coppice.Tensors;

namespace Coppice.Report.Charts;

/// <summary>How the numbers of a chart lie along one side of it, with round ticks.</summary>
public sealed class Axis
{
    readonly bool logarithmic;

    Axis(double from, double to, bool logarithmic, IReadOnlyList<double> ticks)
    {
        this.logarithmic = logarithmic;
        (From, To) = (from, to);
        Ticks = [.. ticks];
    }

    /// <summary>The number at the near end.</summary>
    public double From { get; }

    /// <summary>The number at the far end.</summary>
    public double To { get; }

    /// <summary>Where lines and labels go.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>Place along the axis in percent, 0 at <see cref="From"/>; what lies outside is drawn at the end.</summary>
    public double At(double value) => 100 * Math.Clamp(logarithmic
        ? Math.Log(Math.Max(value, From) / From) / Math.Log(To / From)
        : (value - From) / (To - From), 0, 1);

    /// <summary>An axis of even steps around the values, about <paramref name="count"/> ticks; none between whole numbers where all are <paramref name="whole"/>, as rounds are.</summary>
    public static Axis Linear(string chart, IEnumerable<double> values, int count = 5, bool whole = false)
    {
        (double low, double high) = Range(chart, values);
        if (high - low <= 1e-12 * Math.Max(Math.Abs(low), Math.Abs(high)))
        {
            double pad = low == 0 ? 1 : 0.1 * Math.Abs(low);
            (low, high) = (low - pad, high + pad);
        }
        double step = RoundStep((high - low) / count);
        if (whole)
            step = Math.Max(step, 1);
        double from = Math.Floor(low / step + 1e-9) * step, to = Math.Ceiling(high / step - 1e-9) * step;
        int steps = (int)Math.Round((to - from) / step);
        return new Axis(from, to, false, [.. Enumerable.Range(0, steps + 1).Select(i => Math.Round((from + i * step) / step) * step)]);
    }

    /// <summary>An axis of even factors; all values are above zero. Ticks at 1 and, on a short axis, 2 and 5 of each decade.</summary>
    public static Axis Logarithmic(string chart, IEnumerable<double> values)
    {
        (double low, double high) = Range(chart, values);
        if (low <= 0)
            throw new CoppiceException($"Chart '{chart}': {Format.Css(low)} on a logarithmic axis, wanted numbers above 0");
        (double from, double to) = (low / 1.5, high * 1.5);
        int first = (int)Math.Floor(Math.Log10(from)), last = (int)Math.Floor(Math.Log10(to));
        double[] mantissas = to / from < 1000 ? [1, 2, 5] : [1];
        IEnumerable<double> ticks = Enumerable.Range(first, last - first + 1).SelectMany(power => mantissas.Select(m => m * Math.Pow(10, power)));
        return new Axis(from, to, true, [.. ticks.Where(tick => from <= tick && tick <= to)]);
    }

    static (double Low, double High) Range(string chart, IEnumerable<double> values)
    {
        (double low, double high) = (double.PositiveInfinity, double.NegativeInfinity);
        foreach (double value in values)
        {
            if (!double.IsFinite(value))
                throw new CoppiceException($"Chart '{chart}': a value is {value}, wanted finite numbers");
            (low, high) = (Math.Min(low, value), Math.Max(high, value));
        }
        return low <= high ? (low, high) : throw new CoppiceException($"Chart '{chart}': no values, wanted one or more");
    }

    static double RoundStep(double rough)
    {
        double decade = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        double mantissa = rough / decade;
        return decade * (mantissa < 1.5 ? 1 : mantissa < 3.5 ? 2 : mantissa < 7.5 ? 5 : 10);
    }
}

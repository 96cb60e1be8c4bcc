using Coppice.Report.Charts;
using Coppice.Tensors;

namespace Coppice.Tests.Report;

public class AxisTests
{
    [Theory]
    [InlineData(new[] { 0.0, 1 }, new[] { 0.0, 0.2, 0.4, 0.6, 0.8, 1 })]
    [InlineData(new[] { -3.0, 17 }, new[] { -5.0, 0, 5, 10, 15, 20 })]
    [InlineData(new[] { 5.0 }, new[] { 4.4, 4.6, 4.8, 5, 5.2, 5.4, 5.6 })]
    public void Ticks_are_round_and_hold_all_values(double[] values, double[] ticks)
    {
        Axis axis = Axis.Linear("chart", values);
        Assert.Equal(ticks.Length, axis.Ticks.Count);
        Assert.All(ticks.Zip(axis.Ticks), pair => Assert.Equal(pair.First, pair.Second, 1e-9));
        Assert.All(values, value => Assert.InRange(axis.At(value), 0, 100));
    }

    [Fact]
    public void Between_whole_numbers_there_are_no_ticks() => Assert.Equal([1, 2, 3, 4], Axis.Linear("chart", [1, 4], 6, whole: true).Ticks);

    [Fact]
    public void A_logarithmic_axis_gives_equal_factors_equal_room()
    {
        Axis axis = Axis.Logarithmic("chart", [0.001, 0.1]);
        Assert.Equal(axis.At(0.01) - axis.At(0.001), axis.At(0.1) - axis.At(0.01), 1e-9);
        Assert.Equal([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1], axis.Ticks.Select(tick => Math.Round(tick, 9)));
    }

    [Fact]
    public void What_has_no_place_is_refused_by_the_chart_s_name()
    {
        Assert.Contains("'loss': a value is NaN", Assert.Throws<CoppiceException>(() => Axis.Linear("loss", [1, double.NaN])).Message, StringComparison.Ordinal);
        Assert.Contains("'loss': no values", Assert.Throws<CoppiceException>(() => Axis.Linear("loss", [])).Message, StringComparison.Ordinal);
        Assert.Contains("above 0", Assert.Throws<CoppiceException>(() => Axis.Logarithmic("loss", [0, 1])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_of_near_points_do_not_overlap()
    {
        (string, double, double)[] points = [("int4 round-to-nearest", 40, 50), ("int4 GPTQ", 40, 58), ("2:4 + int4", 43, 54), ("far", 90, 10)];
        IReadOnlyList<NamePlace> places = NamePlacing.Place(points);
        Assert.Equal(4, places.Count);
        Assert.Equal(4, points.Zip(places).Select(pair => (pair.First.Item2 * 6.4 + pair.Second.Right, pair.First.Item3 * 3.2 + pair.Second.Down)).Distinct().Count());
        Assert.Equal("start", NamePlacing.Place([("left edge", 0, 50)])[0].Anchor);
        Assert.Equal("end", NamePlacing.Place([("right edge", 100, 50)])[0].Anchor);
    }
}

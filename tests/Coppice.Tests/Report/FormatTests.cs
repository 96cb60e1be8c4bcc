using System.Globalization;
using Coppice.Report;

namespace Coppice.Tests.Report;

public class FormatTests
{
    [Theory]
    [InlineData(1.14139, 0.00312, "1.1414 ± 0.0031")]
    [InlineData(412.3, 6.12, "412.3 ± 6.1")]
    [InlineData(-0.5, 0.25, "−0.50 ± 0.25")]
    [InlineData(1500, 120, "1500 ± 120")]
    [InlineData(3.1e-5, 4.2e-6, "(3.10 ± 0.42)×10⁻⁵")]
    [InlineData(0, 0.02, "0.000 ± 0.020")]
    [InlineData(1.5, 0, "1.500 ± 0")]
    [InlineData(1.5, double.NaN, "1.500")]
    public void The_error_has_two_digits_and_the_value_ends_where_it_does(double value, double error, string expected) =>
        Assert.Equal(expected, Format.WithError(value, error));

    [Fact]
    public async Task Numbers_read_the_same_in_every_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        CultureInfo odd = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        odd.NumberFormat.NumberDecimalSeparator = ",";
        odd.NumberFormat.NegativeSign = "~";
        try
        {
            CultureInfo.CurrentCulture = odd;
            Assert.Equal("−1.50", Format.Fixed(-1.5, 2));
            Assert.Equal("-1.5", Format.Css(-1.5));
            Assert.Equal("2.96 MB", Format.Bytes(2_961_022));
            Assert.Equal("1\u2009234\u2009567", Format.Count(1_234_567));
            Assert.Equal("0.00", Format.Fixed(-0.001, 2));
            Assert.Equal("+0.300", Format.Signed(0.3, 3));
            Assert.Equal("1.23×10⁻⁷", Format.Short(1.23e-7));
            string html = await ReportPage.RenderAsync(SampleReport.Create());
            Assert.DoesNotContain("~", html, StringComparison.Ordinal);
            Assert.DoesNotMatch(@"(x|y|x1|x2|y1|y2|cx|cy|dx|dy)=""-?\d+,\d", html);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}

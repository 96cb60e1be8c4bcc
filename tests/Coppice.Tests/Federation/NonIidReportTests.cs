using Coppice.Federation;
using Coppice.Tensors;

namespace Coppice.Tests.Federation;

public class NonIidReportTests
{
    [Fact]
    public void Equal_texts_do_not_diverge_and_texts_without_a_common_token_diverge_by_one_bit()
    {
        NonIidReport report = NonIidReport.Measure([("a", 1, [0, 1]), ("b", 2, [1, 0, 0, 1]), ("c", 1, [2, 3])], 4);
        Assert.Equal(0, report.Divergence[0][1], 1e-12);
        Assert.Equal(1, report.Divergence[0][2], 1e-12);
        Assert.Equal(1, report.Divergence[2][1], 1e-12);
        Assert.Equal(2.0 / 3, report.MeanDivergence, 1e-12);
    }

    [Fact]
    public void Divergence_and_mutual_information_are_those_of_a_hand_computed_case()
    {
        // P = (1, 0), Q = (1/2, 1/2), middle = (3/4, 1/4): H(middle) - (0 + 1) / 2. With equal sizes that is also the mutual information.
        double expected = -(0.75 * Math.Log2(0.75)) - (0.25 * Math.Log2(0.25)) - 0.5;
        NonIidReport report = NonIidReport.Measure([("a", 1, [0, 0]), ("b", 1, [0, 1])], 2);
        Assert.Equal(0.31127812445913283, expected, 1e-15);
        Assert.Equal(expected, report.Divergence[0][1], 1e-12);
        Assert.Equal(expected, report.Divergence[1][0], 1e-12);
        Assert.Equal(expected, report.MutualInformation, 1e-12);
    }

    [Fact]
    public void A_token_outside_the_vocabulary_is_named() =>
        Assert.Contains("client 'a' has token id 5", Assert.Throws<CoppiceException>(() => NonIidReport.Measure([("a", 1, [5])], 4)).Message, StringComparison.Ordinal);
}

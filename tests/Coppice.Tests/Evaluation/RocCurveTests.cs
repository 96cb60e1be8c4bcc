using Coppice.Evaluation;

namespace Coppice.Tests.Evaluation;

public class RocCurveTests
{
    // Pairs that the positive wins: 4 over 3, 2, 0; 2 over 0 and half over 2; 1 over 0: 5.5 of 9.
    [Fact]
    public void Area_is_the_share_of_pairs_that_the_positive_wins()
    {
        Assert.Equal(5.5 / 9, RocCurve.Area([4, 2, 1], [3, 2, 0]), 1e-12);
        Assert.Equal(1, RocCurve.Area([2, 3], [1]), 1e-12);
        Assert.Equal(0, RocCurve.Area([1], [2, 3]), 1e-12);
        Assert.Equal(0.5, RocCurve.Area([1, 1], [1]), 1e-12);
    }

    [Fact]
    public void Thresholds_pass_no_more_negatives_than_they_may()
    {
        double[] positives = [9, 8, 5, 3], negatives = [7, 5, 4, 2];
        Assert.Equal(0.5, RocCurve.TruePositivesAt(0, positives, negatives));
        Assert.Equal(0.5, RocCurve.TruePositivesAt(0.3, positives, negatives));
        Assert.Equal(0.75, RocCurve.TruePositivesAt(0.5, positives, negatives));
        Assert.Equal(1, RocCurve.TruePositivesAt(1, positives, negatives));
        Assert.Equal(0, RocCurve.TruePositivesAt(0.2, [1], [1, 1, 1]));
    }

    [Fact]
    public void Without_examples_of_both_kinds_there_is_no_curve() => Assert.Throws<ArgumentException>(() => RocCurve.Area([1], []));
}

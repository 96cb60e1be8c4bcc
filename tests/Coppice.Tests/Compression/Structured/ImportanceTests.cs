using Coppice.Compression.Structured;

namespace Coppice.Tests.Compression.Structured;

public class ImportanceTests
{
    // Two outputs, four inputs.
    static readonly float[] weights =
    [
        1, -2, 0, 3,
        2, 0, -1, 1,
    ];

    [Fact]
    public void Rows_and_columns_are_summed_as_squares()
    {
        double[] rows = [0, 10], columns = new double[4];
        Importance.AddRowSquares(weights, 4, rows);
        Importance.AddColumnSquares(weights, columns);
        Assert.Equal([14, 16], rows);
        Assert.Equal([5, 4, 1, 10], columns);
    }

    [Fact]
    public void A_contribution_is_the_input_s_mean_square_times_its_column_s_squares()
    {
        // Two tokens, (1, 3, 0, 2) and (1, 1, 2, -2): mean squares 1, 5, 2, 4, variances 0, 1, 1, 4.
        Moments moments = new(4);
        moments.Add([1, 3, 0, 2]);
        moments.Add([1, 1, 2, -2]);
        Assert.Equal([1, 5, 2, 4], moments.MeanSquares);
        Assert.Equal([0, 1, 1, 4], moments.Variances);
        double[] scores = new double[4];
        Importance.Contributions(moments.MeanSquares, [5, 4, 1, 10], scores);
        Assert.Equal([5, 20, 2, 40], scores);
        Importance.Contributions(moments.Variances, [5, 4, 1, 10], scores);
        Assert.Equal([0, 4, 1, 40], scores);
    }

    [Fact]
    public void Heads_are_sums_over_their_numbers()
    {
        double[] heads = new double[2];
        Importance.Groups([5, 20, 2, 40], 2, heads);
        Assert.Equal([25, 42], heads);
    }

    [Fact]
    public void The_highest_stay_in_order_and_of_equal_ones_the_last()
    {
        Assert.Equal([1, 3], Importance.Highest([5, 20, 2, 40], 2));
        Assert.Equal([1, 2], Importance.Highest([1, 1, 1, 0], 2));
        Assert.Equal(7 / 67.0, Importance.ShareGone([5, 20, 2, 40], [1, 3]), 12);
    }

    [Fact]
    public void Block_influence_is_one_less_the_cosine()
    {
        // Token 0 is turned by a right angle, token 1 grows and keeps its direction, token 2 is reversed, token 3 was nothing.
        float[] before = [1, 0, 3, 4, 0, 2, 0, 0], after = [0, 2, 6, 8, 0, -1, 1, 1];
        Assert.Equal(1 + 0 + 2, BlockInfluence.Sum(before, after, 2), 6);
    }
}

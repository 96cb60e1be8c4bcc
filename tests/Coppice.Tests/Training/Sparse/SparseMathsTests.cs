using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Sparse;

namespace Coppice.Tests.Training.Sparse;

public class SparseMathsTests
{
    [Theory]
    [InlineData(0, "0 0 0 0 0 0")]
    [InlineData(1, "0 0 1 0 0 0")]
    [InlineData(3, "1 0 1 0 1 0")]
    [InlineData(4, "1 1 1 0 1 0")]
    [InlineData(6, "1 1 1 1 1 1")]
    public void The_highest_scores_are_marked_and_of_equal_ones_the_first(int keep, string wanted)
    {
        float[] mask = [9, 9, 9, 9, 9, 9];
        HighestScores.Mark([1, -2, 5, -2, 1, -7], keep, mask);
        Assert.Equal(wanted, string.Join(' ', mask));
    }

    [Fact]
    public void Marks_are_those_of_a_stable_sort()
    {
        Random random = new(3);
        foreach (int length in (int[])[1, 2, 17, 300, 5000])
            foreach (int keep in (int[])[0, 1, length / 3, length - 1, length])
            {
                float[] scores = [.. Enumerable.Range(0, length).Select(i => i % 3 == 0 ? random.Next(-3, 3) : (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-30, 30)))];
                scores[0] = -0f;
                float[] mask = new float[length], wanted = new float[length];
                HighestScores.Mark(scores, keep, mask);
                foreach (int i in Enumerable.Range(0, length).OrderByDescending(i => scores[i]).Take(keep))
                    wanted[i] = 1;
                Assert.Equal(wanted, mask);
            }
    }

    [Fact]
    public void The_cubic_rises_fast_and_then_slowly()
    {
        Assert.Equal(0, GradualMagnitude.Cubic(0, 100, 0, 0.8), 1e-12);
        Assert.Equal(0.7, GradualMagnitude.Cubic(50, 100, 0, 0.8), 1e-12);
        Assert.Equal(0.8, GradualMagnitude.Cubic(100, 100, 0, 0.8), 1e-12);
        Assert.Equal(0.8, GradualMagnitude.Cubic(0, 0, 0, 0.8), 1e-12);
        Assert.Equal(0.2 + 0.6 * (1 - 0.421875), GradualMagnitude.Cubic(25, 100, 0.2, 0.8), 1e-12);
    }

    [Fact]
    public void Movement_scores_fall_where_descent_goes_towards_0_and_pruned_numbers_count_as_they_were()
    {
        float[] values = [7, 7, 7, -2], scores = [0, 0, 1, 0];
        Movement.Accumulate([2, -3, 4, 0], [0.5f, 0.5f, -1, 0.25f], [1, 1, 1, 0], values, scores);
        Assert.Equal([2, -3, 4, -2], values);
        Assert.Equal([-1, 1.5f, 5, 0.5f], scores);
    }

    [Theory]
    [InlineData(1, 0f, "1 0 1 0 1 0")]
    [InlineData(1, 9f, "1 1 1 0 0 0")]
    [InlineData(2, 0f, "1 0 0 0 1 1")]
    [InlineData(0, 0f, "1 1 1 0 0 0")]
    public void RigL_takes_the_smallest_out_and_the_steepest_in(int exchanged, float gradientOfTheSmallest, string wanted)
    {
        float[] mask = [1, 1, 1, 0, 0, 0];
        RigL.Exchange([5, -1, 3, 0, 0, 0], [100, gradientOfTheSmallest, 0, 1, -4, 2], exchanged, mask, new float[6]);
        Assert.Equal(wanted, string.Join(' ', mask));
    }

    [Fact]
    public void RigL_exchanges_ever_less()
    {
        Assert.Equal(0.3, RigL.FractionAt(0, 80, 0.3), 1e-12);
        Assert.Equal(0.15, RigL.FractionAt(40, 80, 0.3), 1e-12);
        Assert.Equal(0, RigL.FractionAt(80, 80, 0.3), 1e-12);
    }

    [Fact]
    public void A_soft_threshold_draws_numbers_to_0_and_no_further()
    {
        float[] weights = [3, -3, 0.5f, -0.5f, 1, 0];
        Proximal.SoftThreshold(1, weights);
        Assert.Equal([2, -2, 0, 0, 0, 0], weights);
    }

    [Fact]
    public void Norms_and_factors_are_of_rows_or_of_columns()
    {
        float[] weights = [3, 0, 4, 0, 5, 0], rows = new float[2], columns = new float[3];
        Proximal.Norms(weights, 3, PenaltyGroups.Rows, rows);
        Proximal.Norms(weights, 3, PenaltyGroups.Columns, columns);
        Assert.Equal([5, 5], rows);
        Assert.Equal([3, 5, 4], columns);
        float[] scaled = [.. weights];
        Proximal.Scale([2, 0], 3, PenaltyGroups.Rows, scaled);
        Assert.Equal([6, 0, 8, 0, 0, 0], scaled);
        Proximal.Scale([0, 1, 0.5f], 3, PenaltyGroups.Columns, scaled);
        Assert.Equal([0, 0, 4, 0, 0, 0], scaled);
    }

    [Fact]
    public void Rounds_take_equal_shares_of_what_is_left_and_a_ticket_s_first_round_trains_all()
    {
        IterativePruning rounds = new() { Sparsity = 0.875, Rounds = 3 }, ticket = rounds with { Rewind = 1 };
        Assert.Equal([0.5, 0.75, 0.875], Enumerable.Range(0, 3).Select(round => Math.Round(rounds.SparsityIn(round), 12)));
        Assert.Equal([0, 0.5, 0.75, 0.875], Enumerable.Range(0, 4).Select(round => Math.Round(ticket.SparsityIn(round), 12)));
        Assert.Equal([(0, 0, 3), (0, 2, 3), (1, 0, 3), (2, 3, 4)], new[] { 0, 2, 3, 9 }.Select(step => rounds.Place(step, 10)));
        TrainingOptions options = new() { Steps = 10, WarmupSteps = 1, Pruning = rounds };
        Assert.Equal(options.RateAt(0), options.RateAt(3));
        Assert.True(options.RateAt(2) < options.RateAt(3));
    }

    [Fact]
    public void Options_that_cannot_be_are_refused_by_name()
    {
        foreach ((SparseTraining pruning, string word) in new (SparseTraining, string)[]
        {
            (new Movement { Sparsity = 1 }, "sparsity is 1"), (new RigL { Fraction = 1 }, "fraction is 1"), (new Proximal { Strength = 0 }, "strength is 0"),
            (new IterativePruning { Rounds = 30 }, "rounds is 30"), (new IterativePruning { Rounds = 1, Rewind = 10 }, "rewind to is 10"), (new GradualMagnitude { Every = 0 }, "masks is 0"),
        })
            Assert.Contains(word, Assert.Throws<CoppiceException>(() => new TrainingOptions { Steps = 20, Pruning = pruning }.Validate()).Message, StringComparison.Ordinal);
    }
}

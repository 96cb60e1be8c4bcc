using Coppice.Compression;
using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Structured;

public class TaylorScoresTests
{
    [Fact]
    public void A_column_sums_weights_times_gradients()
    {
        double[] sums = [1, 0];
        TaylorScores.AddColumnProducts([1, -2, 3, 4], [2, 1, -1, 0.5f], sums);
        Assert.Equal([0, 0], sums);
        TaylorScores.AddColumnProducts([1, -2, 3, 4], [2, 1, 1, 0.5f], sums);
        Assert.Equal([5, 0], sums);
    }

    [Theory]
    [InlineData(false, 1), InlineData(true, 8)]
    public void A_unit_s_score_is_the_square_of_how_the_loss_turns_with_a_factor_on_it(bool heads, int size)
    {
        DecoderModel model = Samples.Model();
        int[][] tokens = Samples.Tokens();
        Linear reader = heads ? model.Blocks[1].Attention.Output : ((FeedForward)model.Blocks[1].FeedForward).Down;
        double[] scores = TaylorScores.Of(model, Work(model, tokens), [[model.Blocks[0].Attention.Output], [reader]], size)[1];
        Assert.Equal(reader.Weight.Columns / size, scores.Length);
        foreach (int unit in new[] { 0, 2, scores.Length - 1 })
        {
            double slope = (LossAt(1.1f) - LossAt(0.9f)) / 0.2;
            Assert.Equal(Math.Abs(slope), Math.Sqrt(scores[unit]), 0.02 * Math.Abs(slope) + 2e-6);

            double LossAt(float factor)
            {
                Span<float> numbers = ((DenseWeight)reader.Weight).Values.Data;
                float[] before = numbers.ToArray();
                for (int i = 0; i < numbers.Length; i++)
                    if (i % reader.Weight.Columns / size == unit)
                        numbers[i] *= factor;
                ((DenseWeight)reader.Weight).Values.MarkChanged();
                double loss = Samples.Loss(model, tokens);
                before.CopyTo(numbers);
                ((DenseWeight)reader.Weight).Values.MarkChanged();
                return loss;
            }
        }
    }

    [Fact]
    public void Batches_that_pull_either_way_do_not_cancel()
    {
        // 512 tokens a batch: 21 sequences of 24, and then the other 9.
        DecoderModel model = Samples.Model();
        int[][] tokens = Samples.Tokens(sequences: 30);
        MatrixLayer[][] readers = [[((FeedForward)model.Blocks[0].FeedForward).Down]];
        double[] first = TaylorScores.Of(model, Work(model, tokens[..21]), readers)[0], second = TaylorScores.Of(model, Work(model, tokens[21..]), readers)[0];
        Assert.Equal(first.Zip(second, (a, b) => 0.7 * a + 0.3 * b), TaylorScores.Of(model, Work(model, tokens), readers)[0], (a, b) => Math.Abs(a - b) <= 1e-5 * a + 1e-12);
    }

    static ModelWork Work(DecoderModel model, int[][] tokens) => new() { Model = model, Pool = Samples.Pool, Calibration = tokens };
}

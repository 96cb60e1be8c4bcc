using Coppice.Compression;
using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Structured;

public class MergingTests
{
    [Fact]
    public void The_least_loss_is_merged_first_and_what_was_added_counts()
    {
        // x_1 = 2 x_0, x_2 apart, x_3 = 0.5 x_2 but for a little: of four inputs two stay.
        float[] gram =
        [
            1, 2, 0, 0,
            2, 4, 0, 0,
            0, 0, 4, 2,
            0, 0, 2, 1.1f,
        ];
        float[] weights = [1, 1, 1, 1, 0, 3, 2, 1];
        (int[] kept, Merge[] merges) = Merging.Run(gram, 4, weights, 2);
        // 0 goes into 1 for nothing (x_0 = x_1 / 2), then 3 into 2 (x_3 ~ x_2 / 2, a tenth of 1.1 is left).
        Assert.Equal([1, 2], kept);
        Assert.Equal([(0, 1), (3, 2)], merges.Select(merge => (merge.From, merge.Into)));
        Assert.Equal([0, 0.1 / 1.1], merges.Select(merge => merge.Unlike), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal([1.5f, 1.5f], weights[1..3]);
        Assert.Equal([3, 2.5f], weights[5..7]);
    }

    [Fact]
    public void Channels_that_others_repeat_are_read_from_those()
    {
        // Channel 31 - c is minus channel c wherever the stream is written, for the first four.
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            int rows = layer.Weight.Rows, columns = layer.Weight.Columns;
            Span<float> numbers = ((DenseWeight)layer.Weight).Values.Data;
            bool writes = name.EndsWith("o_proj", StringComparison.Ordinal) || name.EndsWith("down_proj", StringComparison.Ordinal);
            for (int c = 0; c < 4; c++)
                if (writes)
                    for (int i = 0; i < columns; i++)
                        numbers[(31 - c) * columns + i] = -numbers[c * columns + i];
                else if (layer is Embedding)
                    for (int i = 0; i < rows; i++)
                        numbers[i * columns + 31 - c] = -numbers[i * columns + c];
        }
        foreach (string reconstruct in new[] { "false", "true, dampening: 0.0001" })
        {
            ModelWork work = new() { Model = model, Pool = Samples.Pool, Calibration = Samples.Tokens() };
            DecoderModel small = (DecoderModel)((ModelStep)RecipeReader.Parse($"steps:\n  - mergeChannels: {{ share: 0.125, multiple: 4, reconstruct: {reconstruct} }}\n", "test").Steps[0]).Apply(work);
            Assert.Equal(28, small.Config.HiddenSize);
            Assert.Equal("4 of 32 channels went, merged into those most alike, of which 0.0 % of the mean square was not", work.Notes.Single());
            foreach ((Linear before, Linear after) in Readers(model).Zip(Readers(small)))
                for (int row = 0; row < before.Weight.Rows; row++)
                {
                    float[] wanted = before.Weight.ToDense()[(row * 32)..(row * 32 + 32)], found = after.Weight.ToDense()[(row * 28)..(row * 28 + 28)];
                    // Of each pair the one that stays, in either place, has its own weight less the other's.
                    double[] pairs = [.. Enumerable.Range(0, 4).Select(c => (double)wanted[c] - wanted[31 - c])];
                    double[] merged = [.. found[..4].Concat(found[^4..]).Select(Math.Abs).Select(value => (double)value)];
                    Assert.All(pairs, pair => Assert.Contains(merged, value => Math.Abs(value - Math.Abs(pair)) < 2e-3 * Math.Abs(pair) + 2e-4));
                }
        }

        static IEnumerable<Linear> Readers(DecoderModel model) => model.Blocks.SelectMany(block => block.Stages[0].Groups[0].Concat(block.Stages[2].Groups[0]));
    }
}

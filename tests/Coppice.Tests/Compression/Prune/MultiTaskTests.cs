using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Compression.Prune;

public class MultiTaskTests
{
    [Theory]
    [InlineData(TaskCombination.Mean, new[] { 1f, 0.9f, 1.1f, 1f })]
    [InlineData(TaskCombination.Minimum, new[] { 0.5f, 0.8f, 0.6f, 0.9f })]
    [InlineData(TaskCombination.Maximum, new[] { 1.5f, 1f, 1.6f, 1.1f })]
    public void Tasks_count_alike_however_large_their_scores_are(TaskCombination how, float[] wanted)
    {
        // Of means 2 and 100: (0.5, 1, 1.6, 0.9) and (1.5, 0.8, 0.6, 1.1).
        float[] first = [1, 2, 3.2f, 1.8f], second = [150, 80, 60, 110], combined = new float[4];
        Assert.True(MultiTaskScores.Add(first, how, combined, 0));
        Assert.True(MultiTaskScores.Add(second, how, combined, 1));
        for (int i = 0; i < 4; i++)
            Assert.Equal(wanted[i], combined[i], 1e-6f);
    }

    [Fact]
    public void A_task_that_does_not_reach_a_matrix_has_no_say()
    {
        float[] combined = [1, 2];
        Assert.False(MultiTaskScores.Add(new float[2], TaskCombination.Minimum, combined, 1));
        Assert.Equal([1, 2], combined);
    }

    [Theory]
    [InlineData(TaskScore.Wanda)]
    [InlineData(TaskScore.Gradient)]
    [InlineData(TaskScore.Taylor)]
    public void The_least_of_the_tasks_scores_decides(TaskScore score)
    {
        int[][] first = Samples.Tokens(seed: 3), second = Samples.Tokens(seed: 4, sequences: 8);
        DecoderModel model = Samples.Model(), original = Samples.Model();
        MultiTask step = new() { Score = score, Combine = TaskCombination.Minimum, Sparsity = 0.25, Scope = PruneScope.Tensor };
        new CompressionPipeline(new Recipe("r", [step]), Samples.Pool) { Texts = [6, 8] }.Run(model, [.. first, .. second]);
        (string name, MatrixLayer layer) = original.Matrices().First(matrix => matrix.Name.EndsWith("layers.1.mlp.gate_proj", StringComparison.Ordinal));
        float[] a = Scores(first), b = Scores(second), kept = model.Matrices().First(matrix => matrix.Name == name).Layer.Weight.ToDense();
        double[] least = [.. a.Zip(b, (x, y) => Math.Min(x / a.Average(value => (double)value), y / b.Average(value => (double)value)))];
        int[] lowest = [.. Enumerable.Range(0, least.Length).OrderBy(i => least[i]).Take(least.Length / 4).Order()];
        Assert.Equal(lowest, Enumerable.Range(0, kept.Length).Where(i => kept[i] == 0));

        float[] Scores(int[][] text)
        {
            WholeModel whole = new(original, [(name, layer)], [text], Samples.Pool, default);
            float[] w = layer.Weight.ToDense();
            if (score != TaskScore.Wanda)
                return [.. w.Zip(WeightGradients.Gather(whole, text, score == TaskScore.Gradient ? GradientMoment.Mean : GradientMoment.RootMeanSquare)[name], (x, g) => Math.Abs(x * g))];
            double[] squares = new double[layer.Weight.Columns];
            ForwardContext context = new(Samples.Pool)
            {
                OnLinearInput = (linear, x) =>
                {
                    if (ReferenceEquals(linear, layer))
                        for (int i = 0; i < x.Data.Length; i++)
                            squares[i % squares.Length] += (double)x.Data[i] * x.Data[i];
                },
            };
            foreach (int[] sequence in text)
                original.Forward(new Batch(sequence), context);
            return [.. w.Select((value, i) => (float)(Math.Abs(value) * Math.Sqrt(squares[i % squares.Length])))];
        }
    }

    [Fact]
    public void One_text_alone_is_an_error() => Assert.Equal("multiTask: wanted at least two calibration texts, one for each task, found 1",
        Assert.Throws<CoppiceException>(() => new CompressionPipeline(new Recipe("r", [new MultiTask()]), Samples.Pool).Run(Samples.Model(), Samples.Tokens())).Message);

    [Fact]
    public void A_matrix_that_is_only_looked_up_is_an_error()
    {
        MultiTask step = new() { Targets = ["model.embed_tokens"] };
        CoppiceException error = Assert.Throws<CoppiceException>(() => new CompressionPipeline(new Recipe("r", [step]), Samples.Pool) { Texts = [3, 3] }.Run(Samples.Model(head: HeadKind.Untied), Samples.Tokens()));
        Assert.Contains("model.embed_tokens: enters no product", error.Message);
    }

    [Fact]
    public void Its_options_are_read_back()
    {
        Recipe recipe = new("r", [new MultiTask { Score = TaskScore.Taylor, Combine = TaskCombination.Maximum, Sparsity = 0.3 }]);
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());
        Assert.Contains("multiTask: { sparsity: 0.3, scope: row, score: taylor, combine: maximum }", recipe.ToYaml());
    }
}

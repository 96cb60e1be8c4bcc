using System.Numerics.Tensors;
using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Prune;

public class WeightGradientsTests
{
    [Fact]
    public void The_mean_gradient_is_how_the_loss_turns()
    {
        DecoderModel model = Samples.Model();
        int[][] sequences = Samples.Tokens();
        Dictionary<string, float[]> gradients = Gather(model, sequences, GradientMoment.Mean);
        foreach ((string name, MatrixLayer layer) in Matrices(model))
        {
            // Along its gradient g the loss rises by ||g||^2 a unit; both sides of where the weights are.
            float[] g = gradients[name], before = layer.Weight.ToDense();
            double square = TensorPrimitives.SumOfSquares<float>(g), step = 0.01 / Math.Sqrt(square);
            double slope = (LossAt(step) - LossAt(-step)) / (2 * step);
            Assert.InRange(slope / square, 0.99, 1.01);

            double LossAt(double along)
            {
                float[] moved = new float[g.Length];
                TensorPrimitives.MultiplyAdd<float>(g, (float)along, before, moved);
                layer.Weight = Dense(layer, moved);
                double loss = Samples.Loss(model, sequences);
                layer.Weight = Dense(layer, before);
                return loss;
            }
        }
    }

    [Fact]
    public void Moments_weigh_each_batch_by_its_tokens()
    {
        // 512 tokens a batch: 21 sequences of 24, and then the other 9.
        DecoderModel model = Samples.Model();
        int[][] sequences = Samples.Tokens(sequences: 30);
        float[] first = Of(sequences[..21], GradientMoment.Mean), second = Of(sequences[21..], GradientMoment.Mean);
        float[] mean = Of(sequences, GradientMoment.Mean), root = Of(sequences, GradientMoment.RootMeanSquare);
        for (int i = 0; i < mean.Length; i++)
        {
            Assert.Equal(0.7 * first[i] + 0.3 * second[i], mean[i], 1e-6);
            Assert.Equal(Math.Sqrt(0.7 * first[i] * first[i] + 0.3 * second[i] * second[i]), root[i], 1e-6);
        }

        float[] Of(int[][] own, GradientMoment moment) => Gather(model, own, moment)["model.layers.1.mlp.down_proj"];
    }

    [Fact]
    public void The_model_is_as_it_was_afterwards()
    {
        DecoderModel model = Samples.Model();
        List<(string Name, MatrixLayer Layer)> matrices = Matrices(model);
        matrices[0].Layer.Weight = HalfWeight.From(HalfFormat.Float16, matrices[0].Layer.Weight.Rows, matrices[0].Layer.Weight.Columns, matrices[0].Layer.Weight.ToDense());
        Weight[] before = [.. matrices.Select(matrix => matrix.Layer.Weight)];
        Gather(model, Samples.Tokens(), GradientMoment.Mean);
        Assert.Equal(before, matrices.Select(matrix => matrix.Layer.Weight));
        Assert.All(before.OfType<DenseWeight>(), weight => Assert.False(weight.Values.RequiresGrad));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_matrix_alone_has_the_gradient_that_it_has_among_all(bool mixture)
    {
        DecoderModel model = mixture ? MixtureTests.Mixture() : Samples.Model();
        int[][] tokens = Samples.Tokens(sequences: 3);
        Dictionary<string, float[]> all = Gather(model, tokens, GradientMoment.Mean);
        foreach ((string name, MatrixLayer layer) in Matrices(model))
            Assert.Equal(all[name], WeightGradients.Gather(new WholeModel(model, [(name, layer)], [tokens], Samples.Pool, default), tokens, GradientMoment.Mean)[name], (a, b) => Math.Abs(a - b) <= 1e-6f);
    }

    [Fact]
    public void Threads_change_nothing()
    {
        DecoderModel model = Samples.Model();
        using WorkerPool one = new(1), three = new(3);
        Dictionary<string, float[]> first = Gather(model, Samples.Tokens(), GradientMoment.RootMeanSquare, one), second = Gather(model, Samples.Tokens(), GradientMoment.RootMeanSquare, three);
        Assert.All(first, pair => Assert.Equal(pair.Value, second[pair.Key]));
    }

    [Fact]
    public void A_text_without_a_next_token_is_an_error() =>
        Assert.Contains("no sequence of two tokens", Assert.Throws<CoppiceException>(() => Gather(Samples.Model(), [[1], [2]], GradientMoment.Mean)).Message);

    [Fact]
    public void Scores_are_weights_times_gradients()
    {
        float[] scores = new float[4];
        GradientScores.Score([1, -2, 3, 0], [-4, 3, 1, 9], 0.5f, scores);
        Assert.Equal([2, 3, 1.5f, 0], scores);
    }

    [Theory]
    [InlineData("gradient: { sparsity: 0.25 }")]
    [InlineData("taylor: { sparsity: 0.25, scope: row }")]
    [InlineData("snip: { sparsity: 0.25, tokens: 48 }")]
    [InlineData("taylor: { pattern: \"3:4\" }")]
    public void Each_step_drops_what_moves_the_loss_least(string step)
    {
        Recipe recipe = RecipeReader.Parse($"name: r\nsteps:\n  - {step}\n", "test");
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());
        PreparedPruneStep prune = (PreparedPruneStep)recipe.Steps[0];
        DecoderModel model = Samples.Model(), original = Samples.Model();
        int[][] tokens = Samples.Tokens();
        CompressionReport report = new CompressionPipeline(recipe, Samples.Pool).Run(model, tokens);
        int weights = Matrices(original).Sum(matrix => matrix.Layer.Weight.Rows * matrix.Layer.Weight.Columns);
        Assert.Equal(4L * weights, report.ScoreBytes);

        Dictionary<string, float[]> gradients = Gather(original, prune is Snip ? tokens[..2] : tokens, prune is Taylor ? GradientMoment.RootMeanSquare : GradientMoment.Mean);
        foreach (((string name, MatrixLayer before), (_, MatrixLayer after)) in Matrices(original).Zip(Matrices(model)))
        {
            double[] scores = [.. before.Weight.ToDense().Zip(gradients[name], (w, g) => Math.Abs((double)w * g))];
            int length = prune.Pattern is not null ? 4 : prune.Scope == PruneScope.Row ? before.Weight.Columns : scores.Length;
            float[] kept = after.Weight.ToDense();
            for (int start = 0; start < scores.Length; start += length)
            {
                int[] places = [.. Enumerable.Range(start, length)];
                Assert.Equal(places.OrderBy(i => scores[i]).Take(length / 4).Order(), places.Where(i => kept[i] == 0));
            }
        }
    }

    [Fact]
    public void A_finished_block_is_not_done_again_and_the_result_is_the_same()
    {
        string output = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        Recipe recipe = new("r", [new Taylor()]);
        int[][] tokens = Samples.Tokens();
        DecoderModel whole = Samples.Model(), resumed = Samples.Model();
        new CompressionPipeline(recipe, Samples.Pool).Run(whole, tokens);
        Journal journal = Journal.Open(output, resumed, recipe, tokens, 0);
        using CancellationTokenSource stop = new();
        Assert.ThrowsAny<OperationCanceledException>(() => new CompressionPipeline(recipe, Samples.Pool).Run(resumed, tokens, journal, new StopAt("model.layers.1.mlp.up_proj", stop), stop.Token));
        resumed = Samples.Model();
        Assert.Equal(1, new CompressionPipeline(recipe, Samples.Pool).Run(resumed, tokens, Journal.Open(output, resumed, recipe, tokens, 0)).ResumedBlocks);
        journal.Delete();
        foreach (((_, MatrixLayer first), (_, MatrixLayer second)) in whole.Matrices().Zip(resumed.Matrices()))
            Assert.Equal(first.Weight.ToDense(), second.Weight.ToDense());
    }

    [Fact]
    public void Snip_stops_where_the_batch_has_no_gradient()
    {
        // A head of zeros: nothing before it has a say.
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        MatrixLayer head = model.Matrices().Last().Layer;
        head.Weight = Dense(head, new float[head.Weight.Rows * head.Weight.Columns]);
        CoppiceException error = Assert.Throws<CoppiceException>(() => new CompressionPipeline(new Recipe("r", [new Snip()]), Samples.Pool).Run(model, Samples.Tokens()));
        Assert.Equal("snip: the loss has no gradient on the batch", error.Message);
    }

    sealed class StopAt(string name, CancellationTokenSource stop) : IProgress<CompressionProgress>
    {
        public void Report(CompressionProgress value)
        {
            if (value.Layer == name)
                stop.Cancel();
        }
    }

    static Dictionary<string, float[]> Gather(DecoderModel model, int[][] sequences, GradientMoment moment, WorkerPool? pool = null) =>
        WeightGradients.Gather(new WholeModel(model, Matrices(model), [sequences], pool ?? Samples.Pool, default), sequences, moment);

    static List<(string Name, MatrixLayer Layer)> Matrices(DecoderModel model) => [.. model.Matrices().Where(matrix => matrix.Name.StartsWith("model.layers.", StringComparison.Ordinal))];

    static DenseWeight Dense(MatrixLayer layer, float[] values) => new(Coppice.Tensors.Tensor.From(layer.Weight.Shape, values));
}

using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Prune;

public sealed class StabilityTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("stability").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void The_variance_is_that_of_each_place()
    {
        float[] variance = new float[3];
        StabilityScores.Variance([[1, 5, 0], [3, 5, 3], [5, 5, 0]], variance);
        Assert.Equal([8f / 3, 0, 2], variance);
    }

    [Fact]
    public void A_small_weight_that_moves_scores_below_an_equal_one_that_does_not()
    {
        // Mean variance 4: 2 / sqrt(12), 2 / sqrt(4), 3 / sqrt(4), 6 / sqrt(12).
        float[] scores = [8, 0, 0, 8];
        Assert.True(StabilityScores.Divide([2, -2, 3, 6], scores));
        Assert.Equal(0.57735f, scores[0], 1e-5f);
        Assert.Equal([1, 1.5f], scores[1..3]);
        Assert.Equal(1.73205f, scores[3], 1e-5f);
    }

    [Fact]
    public void Weights_that_never_move_score_their_size()
    {
        float[] scores = new float[2];
        Assert.False(StabilityScores.Divide([2, -3], scores));
        Assert.Equal([2, 3], scores);
    }

    [Fact]
    public void What_moves_between_checkpoints_goes_first()
    {
        // Every second weight of a matrix moves by 1 between the checkpoints; half of the matrix goes.
        string[] paths = [Save("a", 0), Save("b", 1)];
        DecoderModel model = Create();
        Recipe recipe = RecipeReader.Parse($"name: r\nsteps:\n  - stability: {{ checkpoints: [\"{paths[0]}\", \"{paths[1]}\"], targets: model.layers.0.mlp.up_proj }}\n", "test");
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());
        CompressionReport report = new CompressionPipeline(recipe, Samples.Pool).Run(model, []);
        float[] kept = Up(model).Weight.ToDense(), before = Up(Create()).Weight.ToDense();
        double[] scores = [.. before.Select((w, i) => Math.Abs(w) / Math.Sqrt((i % 2 == 1 ? 0.25 : 0) + 0.125))];
        double middle = scores.Order().ElementAt(scores.Length / 2);
        for (int i = 0; i < kept.Length; i++)
            if (Math.Abs(scores[i] - middle) > 1e-3 * middle)
                Assert.Equal(scores[i] < middle, kept[i] == 0);
        Assert.Empty(report.Warnings);
    }

    [Fact]
    public void Checkpoints_that_agree_leave_magnitude_with_a_warning()
    {
        string path = Save("a", 0);
        DecoderModel model = Create(), other = Create();
        CompressionReport report = new CompressionPipeline(new Recipe("r", [new Stability { Checkpoints = [path, path] }]), Samples.Pool).Run(model, []);
        new CompressionPipeline(new Recipe("r", [new Magnitude()]), Samples.Pool).Run(other, []);
        Assert.Contains("the checkpoints agree in every weight", report.Warnings.First());
        Assert.Equal(Up(other).Weight.ToDense(), Up(model).Weight.ToDense());
    }

    [Fact]
    public void A_checkpoint_of_another_shape_is_named()
    {
        string fits = Save("a", 0), wide = Path.Combine(folder, "wide");
        Save(wide, Create(intermediate: 96));
        Fails($"{wide}: model.layers.0.mlp.gate_proj is [96, 32], the model's is [64, 32]", fits, wide);
    }

    [Fact]
    public void A_checkpoint_that_is_not_there_is_named() => Fails("no such file or folder", Save("a", 0), Path.Combine(folder, "missing"));

    [Fact]
    public void One_checkpoint_alone_is_an_error() => Fails("stability: wanted at least two checkpoints, found 1", "a");

    [Fact]
    public void A_recipe_without_checkpoints_is_an_error() => Assert.Contains("stability.checkpoints is absent, wanted a list of at least two models",
        Assert.Throws<CoppiceException>(() => RecipeReader.Parse("steps:\n  - stability\n", "test")).Message);

    static void Fails(string message, params string[] checkpoints) => Assert.Contains(message,
        Assert.Throws<CoppiceException>(() => new CompressionPipeline(new Recipe("r", [new Stability { Checkpoints = [.. checkpoints] }]), Samples.Pool).Run(Create(), [])).Message);

    static MatrixLayer Up(DecoderModel model) => model.Matrices().First(matrix => matrix.Name == "model.layers.0.mlp.up_proj").Layer;

    [Fact]
    public void A_checkpoint_that_changed_under_its_path_makes_another_run()
    {
        string[] paths = [Save("a", 0), Save("b", 1)];
        Recipe recipe = RecipeReader.Parse($"name: r\nsteps:\n  - stability: {{ checkpoints: [\"{paths[0]}\", \"{paths[1]}\"] }}\n", "test");
        string output = Path.Combine(folder, "out");
        Journal.Open(output, Create(), recipe, [], 0);
        Save("b", 1);
        Journal.Open(output, Create(), recipe, [], 0);
        Save("b", 2);
        Assert.Contains("holds the work of another run (model, recipe, a checkpoint that it reads,", Assert.Throws<CoppiceException>(() => Journal.Open(output, Create(), recipe, [], 0)).Message);
    }

    string Save(string name, float move)
    {
        DecoderModel model = Create();
        MatrixLayer up = Up(model);
        up.Weight = new DenseWeight(Coppice.Tensors.Tensor.From(up.Weight.Shape, [.. up.Weight.ToDense().Select((w, i) => i % 2 == 1 ? w + move : w)]));
        return Save(Path.Combine(folder, name), model);
    }

    static string Save(string path, DecoderModel model)
    {
        new LanguageModel(model, BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = 257 }), "test").Save(path, DType.F32);
        return path;
    }

    static DecoderModel Create(int intermediate = 64) => Initialization.Random(Samples.Tiny with { VocabularySize = 300, IntermediateSize = intermediate }, 1);
}

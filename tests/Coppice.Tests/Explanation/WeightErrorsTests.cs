using Coppice.Explanation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Tests.Explanation;

public class WeightErrorsTests
{
    [Fact]
    public void What_is_predicted_for_a_small_change_is_what_is_measured()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create(), changed = Nudged(model, _ => true, 0.01f);
        List<ReadOnlyMemory<int>> windows = TinyModels.Windows(6, 10);
        WeightErrorResult result = new WeightErrors { Draws = 64 }.Measure(model, changed, pool, windows);
        BlameResult blame = new LayerBlame().Measure(model, changed, pool, windows);
        Assert.InRange(result.Predicted.Value / blame.Kl.Value, 0.75, 1.33);
        foreach (MatrixErrors matrix in result.Matrices.Where(matrix => matrix.Block is not null))
        {
            Blame measured = blame.Matrices.Single(part => part.Block == matrix.Block && matrix.Name.EndsWith($".{part.Matrix}", StringComparison.Ordinal));
            if (measured.Added.Value > 1e-5)
                Assert.InRange(matrix.Predicted.Value / measured.Added.Value, 0.6, 1.6);
        }
    }

    [Fact]
    public void Only_matrices_that_differ_are_listed_and_the_base_is_left_as_it_was()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create(), changed = Nudged(model, name => name.EndsWith("layers.1.mlp.up_proj", StringComparison.Ordinal), 0.01f);
        Weight[] before = [.. model.Matrices().Select(matrix => matrix.Layer.Weight)];
        MatrixErrors only = Assert.Single(new WeightErrors().Measure(model, changed, pool, TinyModels.Windows(3, 10)).Matrices);
        Assert.Equal((1, "f32"), (only.Block, only.Kind));
        Assert.EndsWith("mlp.up_proj", only.Name, StringComparison.Ordinal);
        Assert.Equal(before, model.Matrices().Select(matrix => matrix.Layer.Weight));
        Assert.Contains("no matrix of the same shape with other weights", Assert.Throws<CoppiceException>(() => new WeightErrors().Measure(model, model, pool, TinyModels.Windows(3, 10))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Errors_are_told_by_size_and_by_channel()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        MatrixLayer layer = model.Matrices().Single(matrix => matrix.Name.EndsWith("layers.0.self_attn.q_proj", StringComparison.Ordinal)).Layer;
        float[] weights = layer.Weight.ToDense();
        int columns = layer.Weight.Columns;
        // All weights of the first channel are off by half of the root mean square; no other.
        float off = 0.5f * MathF.Sqrt(weights.Sum(weight => weight * weight) / weights.Length);
        DecoderModel changed = Changed(model, name => name.EndsWith("layers.0.self_attn.q_proj", StringComparison.Ordinal), (weight, i) => i % columns == 0 ? weight + off : weight);
        MatrixErrors errors = Assert.Single(new WeightErrors().Measure(model, changed, pool, TinyModels.Windows(3, 10)).Matrices);
        Assert.Equal(0.25 / columns, errors.Relative, 1e-4);
        Assert.Equal([0, 0, 0.5], new[] { errors.Distribution[0], errors.Distribution[1], errors.Distribution[3] }.Select(value => Math.Round(value, 3)));
        Assert.True(errors.Channels[0] > 0);
        Assert.All(errors.Channels.Skip(1), channel => Assert.Equal(0, channel));
    }

    static DecoderModel Nudged(DecoderModel model, Func<string, bool> which, float by)
    {
        Random random = new(4);
        return Changed(model, which, (weight, _) => weight + by * (random.NextSingle() - 0.5f));
    }

    static DecoderModel Changed(DecoderModel model, Func<string, bool> which, Func<float, int, float> change)
    {
        DecoderModel other = TinyModels.Rounded(model, _ => false);
        foreach ((string name, MatrixLayer layer) in other.Matrices().Where(matrix => which(matrix.Name)))
            layer.Weight = new DenseWeight(Tensor.From(layer.Weight.Shape, [.. layer.Weight.ToDense().Select(change)]));
        return other;
    }
}

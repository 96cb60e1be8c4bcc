using Coppice.Tensors;

namespace Coppice.Tests.Tensors;

public sealed class TapeTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void A_value_used_twice_gets_both_gradients()
    {
        ComputeContext context = new(pool, new Arena(), new Tape());
        Tensor x = Tensor.From([1, 3], [0.5f, -1, 2]);
        x.TrackGradient();
        Tensor loss = CrossEntropy.Apply(context, Add.Apply(context, x, x), new[] { 2 }, 1);
        context.Tape!.Backward(loss);
        double[] e = [Math.Exp(1), Math.Exp(-2), Math.Exp(4)];
        for (int i = 0; i < 3; i++)
            Assert.Equal(2 * (e[i] / e.Sum() - (i == 2 ? 1 : 0)), x.Grad!.Data[i], 1e-6);
    }

    [Fact]
    public void Without_a_tape_nothing_is_recorded()
    {
        ComputeContext context = new(pool, new Arena());
        Tensor x = new([2, 3]);
        x.TrackGradient();
        Assert.False(Add.Apply(context, x, x).RequiresGrad);
    }

    [Fact]
    public void A_leaf_that_tracks_nothing_records_nothing()
    {
        ComputeContext context = new(pool, new Arena(), new Tape());
        Assert.False(Add.Apply(context, new Tensor([2]), new Tensor([2])).RequiresGrad);
    }

    [Fact]
    public void Backward_starts_at_one_number_that_depends_on_a_leaf()
    {
        Tape tape = new();
        Assert.Throws<InvalidOperationException>(() => tape.Backward(new Tensor([1])));
        Tensor two = new([2]);
        two.TrackGradient();
        Assert.Throws<InvalidOperationException>(() => tape.Backward(two));
    }

    [Fact]
    public void Shapes_that_differ_are_named()
    {
        ComputeContext context = new(pool, new Arena());
        Assert.Equal("Add: [2] + [3], shapes differ", Assert.Throws<ArgumentException>(() => Add.Apply(context, new Tensor([2]), new Tensor([3]))).Message);
        Assert.Contains("[2, 3] and up [3, 2]", Assert.Throws<ArgumentException>(() => Activate.Gated(context, Activation.Silu, new Tensor([2, 3]), new Tensor([3, 2]))).Message);
        Assert.Contains("[2, 3] with gain [2]", Assert.Throws<ArgumentException>(() => RmsNormalize.Apply(context, new Tensor([2, 3]), new Tensor([2]), 0)).Message);
    }
}

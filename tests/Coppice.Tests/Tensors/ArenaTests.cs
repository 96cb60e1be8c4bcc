using Coppice.Tensors;

namespace Coppice.Tests.Tensors;

public class ArenaTests
{
    [Fact]
    public void A_second_pass_gets_the_same_memory()
    {
        Arena arena = new();
        Tensor first = arena.Rent([4, 4]), second = arena.Rent([8]);
        arena.Reset();
        Assert.Same(first, arena.Rent([2, 3]));
        Assert.Same(second, arena.Rent([8]));
        Assert.Equal(4 * (16 + 8), arena.ByteCount);
    }

    [Fact]
    public void What_was_lent_after_a_mark_is_taken_back()
    {
        Arena arena = new();
        Tensor kept = arena.Rent([4]);
        int mark = arena.Mark;
        Tensor released = arena.Rent([4]);
        arena.Release(mark);
        Tensor next = arena.Rent([4]);
        Assert.Same(released, next);
        Assert.NotSame(kept, next);
        Assert.Throws<ArgumentOutOfRangeException>(() => arena.Release(3));
    }

    [Fact]
    public void A_larger_tensor_than_before_replaces_the_smaller_one()
    {
        Arena arena = new();
        arena.Rent([4]);
        arena.Reset();
        Assert.Equal(100, arena.Rent([100]).Data.Length);
    }
}

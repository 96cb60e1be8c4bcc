using Coppice.Tensors;
using Coppice.Tensors.Simd;

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

    [Fact]
    public void A_result_on_a_tape_takes_over_the_memory_of_one_that_was_given_back()
    {
        Arena arena = new();
        using WorkerPool pool = new(1);
        Tensor first = arena.RentResult([4, 4], pool);
        first.ClaimGradient(out Accumulate mode);
        Assert.Equal(Accumulate.Overwrite, mode);
        first.GiveBack();
        Assert.False(first.RequiresGrad);
        Assert.Throws<InvalidOperationException>(() => first.Data.Length);
        arena.RentResult([16], pool).ClaimGradient(out _);
        Assert.Equal(4 * (16 + 16), arena.ByteCount);
    }

    [Fact]
    public void A_size_that_comes_no_more_is_let_go_and_an_equal_pass_finds_its_memory()
    {
        Arena arena = new();
        using WorkerPool pool = new(1);
        arena.RentResult([100], pool);
        arena.Reset();
        for (int pass = 0; pass < 3; pass++)
        {
            arena.RentResult([8], pool);
            arena.RentResult([8], pool);
            arena.Reset();
        }
        Assert.Equal(4 * (8 + 8), arena.ByteCount);
    }

    [Fact]
    public void Numbers_kept_narrow_come_back_rounded_and_a_gradient_moves_once()
    {
        Arena arena = new();
        using WorkerPool pool = new(1);
        Tensor result = arena.RentResult([3], pool), other = arena.RentResult([3], pool);
        new float[] { 1, 1 + 1f / 512, -3e38f }.CopyTo(result.Data);
        result.Narrow();
        Assert.Equal([1, 1, BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(-3e38f) + 0x8000 & 0xffff0000)], result.Data.ToArray());
        result.ClaimGradient(out _).Fill(7);
        Assert.True(result.TryMoveGradient(other));
        Assert.Equal([7, 7, 7], other.Grad!.Data.ToArray());
        Assert.False(other.TryMoveGradient(other));
        Assert.False(result.RequiresGrad);
    }
}

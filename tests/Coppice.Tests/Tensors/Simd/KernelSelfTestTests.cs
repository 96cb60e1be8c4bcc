using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Tensors.Simd;

[Collection(SimdCollection.Name)]
public class KernelSelfTestTests
{
    [Fact]
    public void A_kernel_that_gives_other_bits_is_left_for_the_next_narrower_one_that_does_not()
    {
        if (SimdLevel.Active < SimdLevel.Vector256)
            return;
        List<string> told = [];
        KernelSelfTest.Narrowed += told.Add;
        SimdLevel widest = SimdLevel.Active, wanted = widest - 1;
        using (SimdLevel.Select(widest))
            try
            {
                // -0 is 0, but not bit for bit.
                KernelSelfTest.Check("a kernel", () => [1, 0], () => [1, SimdLevel.Active == widest ? -0f : 0f]);
                Assert.Equal(wanted, SimdLevel.Active);
                Assert.Contains("a kernel", Assert.Single(told), StringComparison.Ordinal);
            }
            finally
            {
                KernelSelfTest.Narrowed -= told.Add;
            }
        Assert.Equal(widest, SimdLevel.Active);
    }

    [Fact]
    public void A_level_of_ones_own_is_that_of_no_other_thread()
    {
        SimdLevel before = SimdLevel.Active, other = before;
        SimdLevel here = SimdLevel.On(SimdLevel.Scalar, () =>
        {
            Thread thread = new(() => other = SimdLevel.Active);
            thread.Start();
            thread.Join();
            return SimdLevel.Active;
        });
        Assert.Equal((SimdLevel.Scalar, before, before), (here, other, SimdLevel.Active));
    }

    [Fact]
    public void Kernels_that_agree_change_nothing()
    {
        List<string> told = [];
        KernelSelfTest.Narrowed += told.Add;
        using WorkerPool pool = new(2);
        SimdLevel before = SimdLevel.Active;
        float[] numbers = [.. Enumerable.Range(0, 70 * 512).Select(i => MathF.Sin(i))];
        KernelSelfTest.Once(new PackedPanels<Int8Panels<Each32>>(70, 512));
        foreach (Weight weight in new Weight[] { BlockWeight.From<Q8_0>(70, 512, numbers), BlockWeight.From<Q4_0>(70, 512, numbers) })
            weight.Multiply(pool, new Rows(numbers.AsSpan(0, 512), 1, 512), new Rows(new float[70], 1, 70));
        KernelSelfTest.Narrowed -= told.Add;
        Assert.Empty(told);
        Assert.Equal(before, SimdLevel.Active);
    }
}

using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Weights;

public class PermutedWeightTests
{
    [Fact]
    public void Stored_columns_go_to_their_inputs()
    {
        PermutedWeight weight = new(new DenseWeight(Tensor.From([2, 3], [1, 2, 3, 4, 5, 6])), [2, 0, 1]);
        Assert.Equal([2f, 3f, 1f, 5f, 6f, 4f], weight.ToDense());
        float[] row = new float[3];
        weight.Unpack(1, row);
        Assert.Equal([5f, 6f, 4f], row);
        Assert.Equal([5f, 6f, 4f, 2f, 3f, 1f], weight.Reorder([1, 0]).ToDense());
        Assert.Equal(4 * 6 + 4 * 3, weight.ByteCount);
    }

    [Fact]
    public void What_is_no_order_is_refused()
    {
        foreach (int[] order in new int[][] { [0, 1], [0, 1, 1], [0, 1, 3], [0, -1, 2] })
            Assert.Throws<ArgumentException>(() => new PermutedWeight(new DenseWeight(new Tensor([2, 3])), order));
    }

    [Fact]
    public void Inputs_are_sorted_by_group_and_back()
    {
        int[] groupOf = [1, 0, 1, 0, 2], order = ActOrder.Sort(groupOf, 2)!;
        Assert.Equal([1, 3, 0, 2, 4], order);
        Assert.Equal(groupOf, ActOrder.GroupsOf(order, 2));
        Assert.Null(ActOrder.Sort([0, 0, 0, 1], 2));
        Assert.Null(ActOrder.Sort([0, 0, 1, 2], 2));
    }
}

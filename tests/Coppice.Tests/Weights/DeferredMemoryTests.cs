using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Weights;

public sealed class DeferredMemoryTests
{
    // Row r of 3 holds 10 r, 10 r + 1, 10 r + 2.
    static ReadOnlyMemory<int> Rows(int first, int count) => new DeferredMemory<int>(count, 3, (row, values) =>
    {
        for (int i = 0; i < values.Length; i++)
            values[i] = 10 * (first + row + i / 3) + i % 3;
    }).Memory;

    static ReadOnlyMemory<int> Held(int first, int count) => Rows(first, count).ToArray();

    [Fact]
    public void Rows_are_made_where_they_are_asked_for()
    {
        ReadOnlyMemory<int> rows = Rows(0, 5);
        Assert.Equal(15, rows.Length);
        Assert.Equal([0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42], rows.ToArray());
        int[] two = new int[6];
        FileRun.Copy(rows, 9, two);
        Assert.Equal([30, 31, 32, 40, 41, 42], two);
        using FileRun<int> run = new(rows, 3);
        Assert.Equal([20, 21, 22], run.Read(6, 3).ToArray());
        Assert.Throws<ArgumentException>(() => FileRun.Copy(rows, 1, two));
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void Rows_close_together_and_far_apart_come_in_any_order(bool isDeferred)
    {
        ReadOnlyMemory<int> rows = isDeferred ? Rows(0, 50) : Held(0, 50);
        foreach (int[] order in (int[][])[[2, 0, 1], [49, 0], [7], [], [3, 3, 40]])
        {
            ReadOnlyMemory<int> reordered = DeferredMemory.Reorder(rows, 3, order);
            Assert.Equal(isDeferred, DeferredMemory.IsDeferred(reordered));
            Assert.Equal(order.SelectMany(row => new[] { 10 * row, 10 * row + 1, 10 * row + 2 }), reordered.ToArray());
        }
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void Parts_lie_one_after_another(bool isDeferred)
    {
        ReadOnlyMemory<int> all = DeferredMemory.Concat([isDeferred ? Rows(0, 2) : Held(0, 2), Held(2, 1), isDeferred ? Rows(3, 4) : Held(3, 4)], 3);
        Assert.Equal(isDeferred, DeferredMemory.IsDeferred(all));
        Assert.Equal(Held(0, 7).ToArray(), all.ToArray());
        int[] middle = new int[9];
        FileRun.Copy(all, 3, middle);
        Assert.Equal(Held(1, 3).ToArray(), middle);
    }
}

using Coppice.Tensors;

namespace Coppice.Tests.Tensors;

public class ShapeTests
{
    [Fact]
    public void A_shape_knows_its_rows_and_columns()
    {
        Shape shape = [2, 3, 5];
        Assert.Equal((3, 30, 6, 5), (shape.Rank, shape.Length, shape.Rows, shape.Columns));
        Assert.Equal([2, 3, 5], shape);
        Assert.Equal("[2, 3, 5]", shape.ToString());
    }

    [Fact]
    public void Shapes_are_equal_only_with_the_same_axes()
    {
        Assert.True(Of(2, 3) == [2, 3]);
        Assert.True(Of(2, 3) != [3, 2]);
        Assert.True(Of(6) != [6, 1]);
    }

    [Fact]
    public void An_axis_of_nothing_has_no_elements() => Assert.Equal((0, 0), (Of(4, 0).Length, Of(4, 0).Rows));

    [Fact]
    public void What_cannot_be_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Of());
        Assert.Throws<ArgumentException>(() => Of(1, 2, 3, 4, 5));
        Assert.Throws<ArgumentException>(() => Of(2, -1));
        Assert.Throws<ArgumentException>(() => Of(1 << 20, 1 << 20));
        Assert.Throws<ArgumentException>(() => Of(int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => Of(2)[1]);
    }

    static Shape Of(params ReadOnlySpan<int> sizes) => Shape.Create(sizes);
}

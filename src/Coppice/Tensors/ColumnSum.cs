namespace Coppice.Tensors;

/// <summary>The sum of one column.</summary>
internal static class ColumnSum
{
    /// <summary>x [rows, width] to one element: the sum over rows of number <paramref name="column"/>.</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, int column)
    {
        int width = x.Shape.Columns;
        if ((uint)column >= (uint)width)
            throw new ArgumentOutOfRangeException(nameof(column), $"ColumnSum: column {column} of {x.Shape}");
        bool records = context.Records(x);
        Tensor sum = context.Result([1], records);
        double total = 0;
        for (int i = column; i < x.Shape.Length; i += width)
            total += x.Data[i];
        sum.Data[0] = (float)total;
        if (records)
            context.Tape!.Record<Node>().Set(x, column, sum);
        return sum;
    }

    sealed class Node : TapeNode
    {
        Tensor x = null!, sum = null!;
        int column;

        public void Set(Tensor x, int column, Tensor sum) => (this.x, this.column, this.sum) = (x, column, sum);

        public override void Backward()
        {
            float gradient = sum.Grad!.Data[0];
            Span<float> dx = x.Grad!.Data;
            for (int i = column; i < dx.Length; i += x.Shape.Columns)
                dx[i] += gradient;
        }
    }
}

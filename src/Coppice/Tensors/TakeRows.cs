using System.Numerics.Tensors;

namespace Coppice.Tensors;

/// <summary>Some rows of a tensor, in the order asked for.</summary>
internal static class TakeRows
{
    /// <summary>x [rows, width] and row numbers to [numbers, width].</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, ReadOnlyMemory<int> rows)
    {
        int width = x.Shape.Columns;
        bool records = context.Records(x);
        Tensor y = context.Result([rows.Length, width], records);
        ReadOnlySpan<int> numbers = rows.Span;
        for (int i = 0; i < numbers.Length; i++)
            x.Data.Slice(numbers[i] * width, width).CopyTo(y.Data[(i * width)..]);
        if (records)
            context.Tape!.Record<Node>(y).Set(x, rows, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        Tensor x = null!, y = null!;
        ReadOnlyMemory<int> rows;

        public void Set(Tensor x, ReadOnlyMemory<int> rows, Tensor y) => (this.x, this.rows, this.y) = (x, rows, y);

        public override void Backward()
        {
            int width = x.Shape.Columns;
            ReadOnlySpan<int> numbers = rows.Span;
            for (int i = 0; i < numbers.Length; i++)
            {
                Span<float> dx = x.Grad!.Data.Slice(numbers[i] * width, width);
                TensorPrimitives.Add(dx, y.Grad!.Data.Slice(i * width, width), dx);
            }
        }
    }
}

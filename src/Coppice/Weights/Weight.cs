using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Weights;

/// <summary>A matrix [outputs, inputs], stored somehow, that knows how to multiply itself. Immutable but for <see cref="DenseWeight"/>, which trains.</summary>
public abstract class Weight(int rows, int columns)
{
    /// <summary>Outputs.</summary>
    public int Rows { get; } = rows;

    /// <summary>Inputs.</summary>
    public int Columns { get; } = columns;

    /// <summary>[outputs, inputs].</summary>
    public Shape Shape => [Rows, Columns];

    /// <summary>Bytes of the stored form, with scales, zero points, masks and codebooks; repacked copies that a kernel keeps do not count.</summary>
    public abstract long ByteCount { get; }

    /// <summary>The storage by its short name: <c>f32</c>, <c>bf16</c>, <c>int4-g32</c>, <c>q8_0</c>, <c>sparse-f16</c> ...</summary>
    public abstract string Kind { get; }

    /// <summary>Whether the numbers are at hand. Those of a matrix that lies in a file are read each time they are asked for.</summary>
    public virtual bool IsInMemory => true;

    /// <summary>Stored bits a weight, scales and masks included.</summary>
    public double BitsPerWeight => 8.0 * ByteCount / ((long)Rows * Columns);

    /// <summary>The numbers that the stored form stands for: whole rows from <paramref name="firstRow"/> on, as many as fit <paramref name="dense"/>. The reference for every kernel, and an embedding's gather.</summary>
    public abstract void Unpack(int firstRow, Span<float> dense);

    /// <summary>y = x W^T, for x [rows, inputs] and y [rows, outputs]. The order of summation depends neither on the number of rows nor on threads.</summary>
    public virtual void Multiply(WorkerPool pool, Rows x, Rows y)
    {
        CheckProduct(x.Columns, y.Columns, x.Count, y.Count);
        float[] row = new float[Columns];
        for (int n = 0; n < Rows; n++)
        {
            Unpack(n, row);
            for (int m = 0; m < x.Count; m++)
                y[m][n] = TensorPrimitives.Dot<float>(x[m], row);
        }
    }

    /// <summary>The narrowest input that there is a product for.</summary>
    public virtual ActivationFormat Wants => ActivationFormat.Float32;

    /// <summary>y = x W^T for rounded x [rows, inputs], where <see cref="Wants"/> says that it can be: products within a group of 32 inputs are exact, and groups join in float32 in order.</summary>
    internal virtual void Multiply(WorkerPool pool, Int8Rows x, Rows y) =>
        throw new NotSupportedException($"{Kind}: has no product with int8 activations");

    /// <summary>dx += dy W, for dy [rows, outputs] and dx [rows, inputs]: the exact gradient through the stored numbers.</summary>
    public virtual void MultiplyTransposed(WorkerPool pool, Rows dy, Rows dx)
    {
        CheckProduct(dx.Columns, dy.Columns, dx.Count, dy.Count);
        float[] row = new float[Columns];
        for (int n = 0; n < Rows; n++)
        {
            Unpack(n, row);
            for (int m = 0; m < dy.Count; m++)
                TensorPrimitives.MultiplyAdd(row, dy[m][n], dx[m], dx[m]);
        }
    }

    /// <summary>A matrix whose row i is this one's row order[i]. It keeps its kind where rows are stored apart; otherwise it becomes float32.</summary>
    public virtual Weight Reorder(ReadOnlySpan<int> order)
    {
        Tensor rows = new([order.Length, Columns]);
        for (int i = 0; i < order.Length; i++)
            Unpack(order[i], rows.Data.Slice(i * Columns, Columns));
        return new DenseWeight(rows);
    }

    /// <summary>The rows of <paramref name="parts"/>, of which this is the first, as one matrix of their kind; null where <see cref="MatrixLayout"/> may go by their numbers, or the kind cannot.</summary>
    internal virtual Weight? StackWith(IReadOnlyList<Weight> parts) => null;

    /// <summary>All numbers, row-major [outputs, inputs].</summary>
    public float[] ToDense()
    {
        float[] dense = new float[checked(Rows * Columns)];
        Unpack(0, dense);
        return dense;
    }

    /// <summary>The share of stored numbers that are exactly zero, 0 to 1.</summary>
    public virtual double Sparsity()
    {
        long zeros = 0;
        float[] row = new float[Columns];
        for (int n = 0; n < Rows; n++)
        {
            Unpack(n, row);
            zeros += row.AsSpan().Count(0f);
        }
        return (double)zeros / ((long)Rows * Columns);
    }

    /// <summary>Throws unless x [m, inputs] and y [m, outputs] fit.</summary>
    protected void CheckProduct(int inputs, int outputs, int inputRows, int outputRows)
    {
        if (inputs != Columns || outputs != Rows || inputRows != outputRows)
            throw new ArgumentException($"Multiply: [{inputRows}, {inputs}] x {Shape} into [{outputRows}, {outputs}], sizes differ");
    }
}

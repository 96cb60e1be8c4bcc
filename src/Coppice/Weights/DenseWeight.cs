using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>A matrix kept as float32: the only kind that trains. Its tensor is the parameter.</summary>
public sealed class DenseWeight : Weight
{
    PackedPanels<Float32Panels>? panels;
    int panelsVersion;

    /// <summary>Wraps (does not copy) a tensor [outputs, inputs].</summary>
    public DenseWeight(Tensor values) : base(values.Shape[0], values.Shape[1])
    {
        if (values.Shape.Rank != 2)
            throw new ArgumentException($"DenseWeight: {values.Shape}, wanted two axes");
        Values = values;
    }

    /// <summary>The matrix and, while training, its gradient.</summary>
    public Tensor Values { get; }

    /// <inheritdoc/>
    public override long ByteCount => 4L * Values.Shape.Length;

    /// <inheritdoc/>
    public override string Kind => "f32";

    /// <summary>Adds dy^T x to the gradient, for x [rows, inputs] and dy [rows, outputs].</summary>
    internal void AddGradient(WorkerPool pool, Rows x, Rows dy)
    {
        CheckProduct(x.Columns, dy.Columns, x.Count, dy.Count);
        Gemm.Multiply(pool, Transpose.Yes, Transpose.No, Rows, Columns, x.Count, dy.Data, Rows, x.Data, Columns, Values.ClaimGradient(out Accumulate mode), Columns, mode);
    }

    /// <inheritdoc/>
    public override void Multiply(WorkerPool pool, Rows x, Rows y)
    {
        CheckProduct(x.Columns, y.Columns, x.Count, y.Count);
        if (Values.RequiresGrad)
        {
            // A matrix in training changes with every step, so that packing it for good does not pay.
            Gemm.Multiply(pool, Transpose.No, Transpose.Yes, x.Count, Rows, Columns, x.Data, Columns, Values.Data, Columns, y.Data, Rows, Accumulate.Overwrite);
            return;
        }
        if (panels is null || panelsVersion != Values.Version)
            (panels, panelsVersion) = (PackedPanels.Float32(pool, Values.Data, Rows, Columns), Values.Version);
        panels.Multiply(pool, x.Data, x.Count, y.Data);
    }

    /// <inheritdoc/>
    public override void MultiplyTransposed(WorkerPool pool, Rows dy, Rows dx) => MultiplyTransposed(pool, dy, dx, Accumulate.Add);

    /// <summary>The same, dx = or += dy W.</summary>
    internal void MultiplyTransposed(WorkerPool pool, Rows dy, Rows dx, Accumulate mode)
    {
        CheckProduct(dx.Columns, dy.Columns, dx.Count, dy.Count);
        Gemm.Multiply(pool, Transpose.No, Transpose.No, dy.Count, Columns, Rows, dy.Data, Rows, Values.Data, Columns, dx.Data, Columns, mode);
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense) => Values.Data.Slice(firstRow * Columns, dense.Length).CopyTo(dense);
}

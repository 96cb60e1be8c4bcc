using System.Buffers;
using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix whose rows are kept as integer coefficients of <see cref="Haar"/>, run by run. The transform is orthonormal, so that a product transforms its inputs once and is then the coefficients' own.</summary>
public sealed class WaveletWeight : Weight
{
    /// <summary>Wraps (does not copy) coefficients [outputs, inputs], in runs of <paramref name="length"/> inputs, a power of two that divides them.</summary>
    public WaveletWeight(IntWeight coefficients, int length) : base(coefficients.Rows, coefficients.Columns)
    {
        if (!Haar.Fits(length) || Columns % length != 0)
            throw new ArgumentException($"WaveletWeight: runs of {length} for {Columns} inputs, wanted a power of two that divides them");
        (Coefficients, Length) = (coefficients, length);
    }

    /// <summary>The coefficients.</summary>
    public IntWeight Coefficients { get; }

    /// <summary>Inputs that are transformed together.</summary>
    public int Length { get; }

    /// <inheritdoc/>
    public override long ByteCount => Coefficients.ByteCount;

    /// <inheritdoc/>
    public override string Kind => $"haar{Length}-{Coefficients.Kind}";

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        Coefficients.Unpack(firstRow, dense);
        float[] scratch = ArrayPool<float>.Shared.Rent(Length);
        Haar.Inverse(dense, Length, scratch);
        ArrayPool<float>.Shared.Return(scratch);
    }

    /// <inheritdoc/>
    public override void Multiply(WorkerPool pool, Rows x, Rows y)
    {
        CheckProduct(x.Columns, y.Columns, x.Count, y.Count);
        float[] transformed = ArrayPool<float>.Shared.Rent(x.Data.Length), scratch = ArrayPool<float>.Shared.Rent(Length);
        Span<float> inputs = transformed.AsSpan(0, x.Data.Length);
        x.Data.CopyTo(inputs);
        Haar.Forward(inputs, Length, scratch);
        Coefficients.Multiply(pool, new Rows(inputs, x.Count, Columns), y);
        ArrayPool<float>.Shared.Return(scratch);
        ArrayPool<float>.Shared.Return(transformed);
    }

    /// <inheritdoc/>
    public override void MultiplyTransposed(WorkerPool pool, Rows dy, Rows dx)
    {
        CheckProduct(dx.Columns, dy.Columns, dx.Count, dy.Count);
        float[] gradient = ArrayPool<float>.Shared.Rent(dx.Data.Length), scratch = ArrayPool<float>.Shared.Rent(Length);
        Span<float> change = gradient.AsSpan(0, dx.Data.Length);
        change.Clear();
        Coefficients.MultiplyTransposed(pool, dy, new Rows(change, dx.Count, Columns));
        Haar.Inverse(change, Length, scratch);
        TensorPrimitives.Add(dx.Data, change, dx.Data);
        ArrayPool<float>.Shared.Return(scratch);
        ArrayPool<float>.Shared.Return(gradient);
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order) => new WaveletWeight((IntWeight)Coefficients.Reorder(order), Length);

    internal override Weight? StackWith(IReadOnlyList<Weight> parts) =>
        Coefficients.StackWith([.. parts.Select(part => ((WaveletWeight)part).Coefficients)]) is IntWeight all ? new WaveletWeight(all, Length) : null;
}

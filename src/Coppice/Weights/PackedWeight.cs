using System.Buffers;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>A weight that does not train: the first product rearranges it for the kernels and keeps that copy.</summary>
public abstract class PackedWeight(int rows, int columns) : Weight(rows, columns)
{
    // Rows that are unpacked at a time for the transposed product: about a megabyte.
    const int UnpackedNumbers = 1 << 18;

    PanelProduct? product;

    /// <summary>The matrix as the kernels want it; every number is the one that <see cref="Weight.Unpack"/> gives.</summary>
    private protected abstract PanelProduct Pack(WorkerPool pool);

    /// <summary>Makes the copy now, in a slot's memory.</summary>
    internal void Pack(WorkerPool pool, PanelSlot slot) => product = PanelMemory.Into(slot, () => Pack(pool));

    /// <summary>Lets go of the copy; the next product makes it again.</summary>
    internal void Drop() => product = null;

    /// <inheritdoc/>
    public sealed override void Multiply(WorkerPool pool, Rows x, Rows y)
    {
        CheckProduct(x.Columns, y.Columns, x.Count, y.Count);
        product ??= Pack(pool);
        product.Multiply(pool, x.Data, x.Count, y.Data);
    }

    internal sealed override void Multiply(WorkerPool pool, Int8Rows x, Rows y)
    {
        CheckProduct(x.Columns, y.Columns, x.Count, y.Count);
        product ??= Pack(pool);
        product.Multiply(pool, x, y.Data);
    }

    /// <inheritdoc/>
    public sealed override void MultiplyTransposed(WorkerPool pool, Rows dy, Rows dx)
    {
        CheckProduct(dx.Columns, dy.Columns, dx.Count, dy.Count);
        if (Rows == 0 || Columns == 0)
            return;
        int band = Math.Clamp(UnpackedNumbers / Columns, 1, Rows);
        float[] buffer = ArrayPool<float>.Shared.Rent(band * Columns);
        for (int row = 0; row < Rows; row += band)
        {
            int count = Math.Min(band, Rows - row);
            Span<float> dense = buffer.AsSpan(0, count * Columns);
            Unpack(row, dense);
            Gemm.Multiply(pool, Transpose.No, Transpose.No, dy.Count, Columns, count, dy.Data[Math.Min(row, dy.Data.Length)..], Rows, dense, Columns, dx.Data, Columns, Accumulate.Add);
        }
        ArrayPool<float>.Shared.Return(buffer);
    }
}

using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>A matrix that lies ready for the kernels, whatever its storage.</summary>
abstract class PanelProduct
{
    /// <summary>y = x W^T, for x [rows, inputs] and y [rows, outputs].</summary>
    public abstract void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y);

    /// <summary>The same for rounded x.</summary>
    public virtual void Multiply(WorkerPool pool, Int8Rows x, Span<float> y) => throw new NotSupportedException("the panels hold no integers");

    /// <summary>Panels of integers.</summary>
    public static PanelProduct OfIntegers<TDecoder>(PackedPanels<TDecoder> panels) where TDecoder : struct, IIntegerPanels => new Integers<TDecoder>(panels);

    /// <summary>Panels that are filled already.</summary>
    public static PanelProduct Of<TDecoder>(PackedPanels<TDecoder> panels) where TDecoder : struct, IPanelDecoder => new Panels<TDecoder>(panels);

    /// <summary>Any weight as float32.</summary>
    public static PanelProduct Float32(Weight weight) => FromRows<Float32Panels, float>(weight, (values, row) => values.CopyTo(row));

    /// <summary>A weight whose numbers are all halves.</summary>
    public static PanelProduct Float16(Weight weight) =>
        FromRows<Float16Panels, ushort>(weight, (values, row) => HalfConversion.FromSingle(HalfFormat.Float16, values, row));

    static Panels<TDecoder> FromRows<TDecoder, T>(Weight weight, Action<ReadOnlySpan<float>, Span<T>> convert) where TDecoder : struct, IPanelDecoder where T : unmanaged
    {
        PackedPanels<TDecoder> panels = new(weight.Rows, weight.Columns);
        float[] dense = new float[weight.Columns];
        T[] row = new T[weight.Columns];
        for (int i = 0; i < weight.Rows; i++)
        {
            weight.Unpack(i, dense);
            convert(dense, row);
            PackedPanels.PutRow<T, TDecoder>(row, panels, i);
        }
        return new Panels<TDecoder>(panels);
    }

    sealed class Integers<TDecoder>(PackedPanels<TDecoder> panels) : PanelProduct where TDecoder : struct, IIntegerPanels
    {
        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y) => panels.Multiply(pool, x, rows, y);

        public override void Multiply(WorkerPool pool, Int8Rows x, Span<float> y) => IntegerProduct.Multiply(pool, panels, x, y);
    }

    sealed class Panels<TDecoder>(PackedPanels<TDecoder> panels) : PanelProduct where TDecoder : struct, IPanelDecoder
    {
        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y) => panels.Multiply(pool, x, rows, y);
    }
}

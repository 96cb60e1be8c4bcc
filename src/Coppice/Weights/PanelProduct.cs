using System.Numerics.Tensors;
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
    public static PanelProduct OfIntegers<TDecoder>(PackedPanels<TDecoder> panels) where TDecoder : struct, IIntegerPanels
    {
        KernelSelfTest.Once(panels);
        return new Integers<TDecoder>(panels);
    }

    /// <summary>Panels that are filled already.</summary>
    public static PanelProduct Of<TDecoder>(PackedPanels<TDecoder> panels) where TDecoder : struct, IPanelDecoder => new Panels<TDecoder>(panels);

    /// <summary>Any weight as float32.</summary>
    public static PanelProduct Float32(WorkerPool pool, Weight weight) => Of(PackedPanels.Float32(pool, weight.ToDense(), weight.Rows, weight.Columns));

    /// <summary>Outputs of a product times a scale each, [outputs].</summary>
    public static PanelProduct RowScaled(PanelProduct product, float[] scales) => new Scaled(product, scales);

    /// <summary>A weight whose numbers are all halves.</summary>
    public static PanelProduct Float16(WorkerPool pool, Weight weight)
    {
        ushort[] halves = new ushort[weight.Shape.Length];
        HalfConversion.FromSingle(HalfFormat.Float16, weight.ToDense(), halves);
        return Of(PackedPanels.Float16(pool, halves, weight.Rows, weight.Columns));
    }

    /// <summary>The same with its zeros left out.</summary>
    public static PanelProduct Sparse(WorkerPool pool, Weight weight)
    {
        using ThreadLocal<float[]> dense = new(() => new float[weight.Columns]);
        return new Bitmask(new BitmaskPanels(pool, weight.Rows, weight.Columns, (row, halves) =>
        {
            weight.Unpack(row, dense.Value!);
            HalfConversion.FromSingle(HalfFormat.Float16, dense.Value!, halves);
        }));
    }

    sealed class Integers<TDecoder>(PackedPanels<TDecoder> panels) : PanelProduct where TDecoder : struct, IIntegerPanels
    {
        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y) => panels.Multiply(pool, x, rows, y);

        public override void Multiply(WorkerPool pool, Int8Rows x, Span<float> y) => IntegerProduct.Multiply(pool, panels, x, y);
    }

    sealed class Bitmask(BitmaskPanels panels) : PanelProduct
    {
        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y) => BitmaskProduct.Multiply(pool, panels, x, rows, y);
    }

    sealed class Panels<TDecoder>(PackedPanels<TDecoder> panels) : PanelProduct where TDecoder : struct, IPanelDecoder
    {
        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y) => panels.Multiply(pool, x, rows, y);
    }

    sealed class Scaled(PanelProduct product, float[] scales) : PanelProduct
    {
        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y)
        {
            product.Multiply(pool, x, rows, y);
            Scale(y);
        }

        public override void Multiply(WorkerPool pool, Int8Rows x, Span<float> y)
        {
            product.Multiply(pool, x, y);
            Scale(y);
        }

        void Scale(Span<float> y)
        {
            for (; y.Length > 0; y = y[scales.Length..])
                TensorPrimitives.Multiply(y[..scales.Length], scales, y[..scales.Length]);
        }
    }
}

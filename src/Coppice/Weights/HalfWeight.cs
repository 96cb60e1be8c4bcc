using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>A matrix kept in 16 bits a number.</summary>
public sealed class HalfWeight : PackedWeight
{
    readonly ReadOnlyMemory<ushort> bits;

    /// <summary>Wraps (does not copy) numbers [outputs, inputs] by their bits.</summary>
    public HalfWeight(HalfFormat format, int rows, int columns, ReadOnlyMemory<ushort> bits) : base(rows, columns)
    {
        if (bits.Length != (long)rows * columns)
            throw new ArgumentException($"HalfWeight: {bits.Length} numbers for [{rows}, {columns}]");
        this.bits = bits;
        Format = format;
    }

    /// <summary>Rounds numbers [outputs, inputs] to nearest, ties to even.</summary>
    /// <exception cref="CoppiceException">A number is not finite once rounded.</exception>
    public static HalfWeight From(HalfFormat format, int rows, int columns, ReadOnlySpan<float> values)
    {
        ushort[] bits = new ushort[values.Length];
        HalfConversion.FromSingle(format, values, bits);
        int wrong = HalfConversion.IndexOfNonFinite(format, bits);
        if (wrong >= 0)
            throw new CoppiceException($"HalfWeight: the number {values[wrong]} at [{wrong / columns}, {wrong % columns}] has no finite {format}");
        return new HalfWeight(format, rows, columns, bits);
    }

    /// <summary>Which 16 bits.</summary>
    public HalfFormat Format { get; }

    /// <summary>The stored numbers, row-major [outputs, inputs]; perhaps a file's, mapped for as long as this weight is held.</summary>
    public ReadOnlySpan<ushort> Bits => bits.Span;

    /// <inheritdoc/>
    public override long ByteCount => 2L * bits.Length;

    /// <inheritdoc/>
    public override string Kind => Format == HalfFormat.Float16 ? "f16" : "bf16";

    private protected override PanelProduct Pack(WorkerPool pool) => Format == HalfFormat.Float16
        ? PanelProduct.Of(PackedPanels.Float16(pool, bits, Rows, Columns))
        : PanelProduct.Of(PackedPanels.BFloat16(pool, bits, Rows, Columns));

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        HalfConversion.ToSingle(Format, bits.Span.Slice(firstRow * Columns, dense.Length), dense);
        GC.KeepAlive(this);
    }

    /// <inheritdoc/>
    public override double Sparsity()
    {
        double zeros = HalfConversion.CountZeros(bits.Span);
        GC.KeepAlive(this);
        return zeros / bits.Length;
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order) => new HalfWeight(Format, order.Length, Columns, DeferredMemory.Reorder(bits, Columns, order));
}

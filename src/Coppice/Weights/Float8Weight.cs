using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix kept in 8-bit floating-point numbers, with a scale for each row, one for all, or none: w = number * scale.</summary>
public sealed class Float8Weight : PackedWeight
{
    readonly ReadOnlyMemory<byte> bits;
    readonly float[] scales;

    /// <summary>Wraps (does not copy) numbers [outputs, inputs] by their bits.</summary>
    /// <param name="format">Which 8 bits.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    /// <param name="bits">[outputs, inputs].</param>
    /// <param name="scales">[outputs], [1], or empty for none.</param>
    public Float8Weight(Float8Format format, int rows, int columns, ReadOnlyMemory<byte> bits, float[] scales) : base(rows, columns)
    {
        if (bits.Length != (long)rows * columns || scales.Length > 1 && scales.Length != rows)
            throw new ArgumentException($"Float8Weight: {bits.Length} numbers and {scales.Length} scales for [{rows}, {columns}]");
        (Format, this.bits, this.scales) = (format, bits, scales);
    }

    /// <summary>Which 8 bits.</summary>
    public Float8Format Format { get; }

    /// <summary>The stored numbers, row-major [outputs, inputs]; perhaps a file's, mapped for as long as this weight is held.</summary>
    public ReadOnlySpan<byte> Bits => bits.Span;

    /// <summary>[outputs], [1], or empty for none.</summary>
    public ReadOnlySpan<float> Scales => scales;

    /// <inheritdoc/>
    public override long ByteCount => bits.Length + 4L * scales.Length;

    /// <inheritdoc/>
    public override string Kind => (Format == Float8Format.E4M3 ? "f8_e4m3" : "f8_e5m2") + (scales.Length > 1 ? "-channel" : scales.Length == 1 ? "-tensor" : "");

    // Every 8-bit number is a half.
    private protected override PanelProduct Pack(WorkerPool pool)
    {
        PanelProduct numbers = PanelProduct.Float16(pool, new Float8Weight(Format, Rows, Columns, bits, []));
        return scales.Length == 0 ? numbers : PanelProduct.RowScaled(numbers, scales.Length == Rows ? scales : [.. Enumerable.Repeat(scales[0], Rows)]);
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        Float8.ToSingle(Format, bits.Span.Slice(firstRow * Columns, dense.Length), dense);
        if (scales.Length > 0)
            for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
                TensorPrimitives.Multiply(dense[..Columns], scales[scales.Length == 1 ? 0 : row], dense[..Columns]);
        GC.KeepAlive(this);
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        byte[] reordered = new byte[order.Length * Columns];
        float[] rowScales = scales.Length == Rows && Rows > 1 ? new float[order.Length] : scales;
        for (int i = 0; i < order.Length; i++)
        {
            bits.Span.Slice(order[i] * Columns, Columns).CopyTo(reordered.AsSpan(i * Columns));
            if (rowScales != scales)
                rowScales[i] = scales[order[i]];
        }
        GC.KeepAlive(this);
        return new Float8Weight(Format, order.Length, Columns, reordered, rowScales);
    }
}

using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix kept in whole numbers of 16 bits with a float32 scale for each row: w = code scale.</summary>
public sealed class Int16Weight : PackedWeight
{
    readonly short[] codes;
    readonly float[] scales;

    /// <summary>Wraps (does not copy) codes [outputs, inputs] and scales [outputs].</summary>
    public Int16Weight(int rows, int columns, short[] codes, float[] scales) : base(rows, columns)
    {
        if (codes.Length != (long)rows * columns || scales.Length != rows)
            throw new ArgumentException($"Int16Weight: {codes.Length} codes and {scales.Length} scales for [{rows}, {columns}]");
        (this.codes, this.scales) = (codes, scales);
    }

    /// <summary>Rounds finite numbers [outputs, inputs] to nearest, ties to even; a row's scale is max|w| / 32767.</summary>
    public static Int16Weight From(int rows, int columns, ReadOnlySpan<float> values)
    {
        short[] codes = new short[values.Length];
        float[] scales = new float[rows];
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> own = values.Slice(row * columns, columns);
            float scale = scales[row] = own.IsEmpty ? 0 : Math.Abs(TensorPrimitives.MaxMagnitude(own)) / short.MaxValue;
            for (int i = 0; scale > 0 && i < columns; i++)
                codes[row * columns + i] = (short)Math.Clamp(MathF.Round(own[i] / scale), -short.MaxValue, short.MaxValue);
        }
        return new Int16Weight(rows, columns, codes, scales);
    }

    /// <summary>[outputs, inputs].</summary>
    public ReadOnlySpan<short> Codes => codes;

    /// <summary>[outputs].</summary>
    public ReadOnlySpan<float> Scales => scales;

    /// <inheritdoc/>
    public override long ByteCount => 2L * codes.Length + 4L * scales.Length;

    /// <inheritdoc/>
    public override string Kind => "int16-channel";

    /// <inheritdoc/>
    public override ActivationFormat Wants => ActivationFormat.Float32;

    // More bits than a half holds.
    private protected override PanelProduct Pack(WorkerPool pool) => PanelProduct.Float32(pool, this);

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        TensorPrimitives.ConvertTruncating(codes.AsSpan(firstRow * Columns, dense.Length), dense);
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
            TensorPrimitives.Multiply(dense[..Columns], scales[row], dense[..Columns]);
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        short[] reordered = new short[order.Length * Columns];
        float[] rowScales = new float[order.Length];
        for (int i = 0; i < order.Length; i++)
        {
            codes.AsSpan(order[i] * Columns, Columns).CopyTo(reordered.AsSpan(i * Columns));
            rowScales[i] = scales[order[i]];
        }
        return new Int16Weight(order.Length, Columns, reordered, rowScales);
    }

    internal override Weight? StackWith(IReadOnlyList<Weight> parts)
    {
        Int16Weight[] all = [.. parts.Cast<Int16Weight>()];
        return new Int16Weight(all.Sum(part => part.Rows), Columns, [.. all.SelectMany(part => part.codes)], [.. all.SelectMany(part => part.scales)]);
    }
}

using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix in which two of every four neighbouring inputs are kept, as halves.</summary>
public sealed class TwoFourWeight : PackedWeight
{
    readonly byte[] mask;
    readonly Half[] kept;

    /// <summary>Wraps (does not copy) a mask [outputs, ceil(inputs / 8)] that keeps two of every four, least significant bit first, and the kept numbers [outputs, inputs / 2].</summary>
    public TwoFourWeight(int rows, int columns, byte[] mask, Half[] kept) : base(rows, columns)
    {
        if (mask.Length != (long)rows * Bitmask.BytesPerRow(columns) || kept.Length != (long)rows * columns / 2 || !Bitmask.IsTwoOfFour(mask, columns))
            throw new ArgumentException($"TwoFourWeight: {mask.Length} bytes of mask and {kept.Length} numbers for [{rows}, {columns}], wanted two of every four");
        (this.mask, this.kept) = (mask, kept);
    }

    /// <summary>Keeps the numbers that are not zero, rounded to half, ties to even.</summary>
    /// <exception cref="CoppiceException">Somewhere more than two of four are not zero, or a number is too large for a half.</exception>
    public static TwoFourWeight From(int rows, int columns, ReadOnlySpan<float> values)
    {
        byte[] mask = TwoFour.Mask(rows, columns, values);
        float[] row = new float[columns];
        Half[] kept = new Half[rows * columns / 2];
        for (int i = 0; i < rows; i++)
        {
            HalfConversion.Round(values.Slice(i * columns, columns), row);
            TwoFour.Gather<float>(TwoFour.MaskRow(mask, columns, i), row, row);
            for (int j = 0; j < columns / 2; j++)
                kept[i * columns / 2 + j] = (Half)row[j];
        }
        return new TwoFourWeight(rows, columns, mask, kept);
    }

    /// <summary>[outputs, ceil(inputs / 8)], least significant bit first.</summary>
    public ReadOnlySpan<byte> Mask => mask;

    /// <summary>The kept numbers [outputs, inputs / 2].</summary>
    public ReadOnlySpan<Half> Kept => kept;

    /// <inheritdoc/>
    public override long ByteCount => mask.Length + 2L * kept.Length;

    /// <inheritdoc/>
    public override string Kind => "2:4-f16";

    private protected override PanelProduct Pack(WorkerPool pool) => PanelProduct.Sparse(pool, this);

    internal override Weight StackWith(IReadOnlyList<Weight> parts)
    {
        TwoFourWeight[] all = [.. parts.Cast<TwoFourWeight>()];
        return new TwoFourWeight(all.Sum(part => part.Rows), Columns, [.. all.SelectMany(part => part.mask)], [.. all.SelectMany(part => part.kept)]);
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
            Bitmask.Scatter(TwoFour.MaskRow(mask, Columns, row), kept.AsSpan(row * Columns / 2, Columns / 2), dense[..Columns]);
    }
}

namespace Coppice.Weights;

/// <summary>The plain numbers that a matrix stands for, unpacked row by row when they are asked for: how it is written where its own form has no place.</summary>
/// <param name="source">The matrix.</param>
/// <param name="format">The 16 bits that its numbers are rounded to; none where null.</param>
public sealed class SpreadWeight(Weight source, HalfFormat? format = null) : Weight(source.Rows, source.Columns)
{
    /// <summary>The 16 bits of a number, or null for float32.</summary>
    public HalfFormat? Format => format;

    /// <inheritdoc/>
    public override bool IsInMemory => source.IsInMemory;

    /// <inheritdoc/>
    public override long ByteCount => (format is null ? 4L : 2L) * Rows * Columns;

    /// <inheritdoc/>
    public override string Kind => format switch { HalfFormat.Float16 => "f16", HalfFormat.BFloat16 => "bf16", _ => "f32" };

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        source.Unpack(firstRow, dense);
        if (format is not { } half)
            return;
        ushort[] bits = new ushort[Columns];
        for (; dense.Length > 0; dense = dense[Columns..])
        {
            HalfConversion.FromSingle(half, dense[..Columns], bits);
            HalfConversion.ToSingle(half, bits, dense[..Columns]);
        }
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order) => new SpreadWeight(source.Reorder(order), format);
}

using System.Buffers;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>A matrix in which two of every four neighbouring inputs are kept, and those as integers with a scale a group.</summary>
public sealed class TwoFourIntWeight : PackedWeight
{
    readonly byte[] mask;

    /// <summary>Wraps (does not copy) a mask [outputs, ceil(inputs / 8)] that keeps two of every four, least significant bit first, and the kept integers [outputs, inputs / 2].</summary>
    /// <param name="mask">The mask.</param>
    /// <param name="kept">Its groups are half as long as the matrix's.</param>
    public TwoFourIntWeight(byte[] mask, IntWeight kept) : base(kept.Rows, 2 * kept.Columns)
    {
        if (mask.Length != (long)Rows * Bitmask.BytesPerRow(Columns) || !Bitmask.IsTwoOfFour(mask, Columns))
            throw new ArgumentException($"TwoFourIntWeight: {mask.Length} bytes of mask for {Shape}, wanted two of every four");
        (this.mask, Kept) = (mask, kept);
    }

    /// <summary>Takes the kept codes out of codes for the whole matrix.</summary>
    /// <param name="bits">2 to 8.</param>
    /// <param name="groupSize">Inputs of the whole matrix that share a scale, a multiple of 4, or <see cref="IntWeight.WholeRow"/>.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs, a multiple of 4.</param>
    /// <param name="pruned">[outputs, inputs]: where this is zero the weight is not kept.</param>
    /// <param name="codes">[outputs, inputs].</param>
    /// <param name="scales">[outputs, groups].</param>
    /// <param name="zeros">[outputs, groups], empty for a symmetric matrix.</param>
    /// <exception cref="Coppice.Tensors.CoppiceException">Somewhere more than two of four are not zero.</exception>
    public static TwoFourIntWeight From(int bits, int groupSize, int rows, int columns, ReadOnlySpan<float> pruned,
        ReadOnlySpan<byte> codes, ReadOnlySpan<Half> scales, ReadOnlySpan<byte> zeros)
    {
        if (groupSize != IntWeight.WholeRow && groupSize % 4 != 0)
            throw new ArgumentOutOfRangeException(nameof(groupSize), $"TwoFourIntWeight: groups of {groupSize}, wanted a multiple of 4");
        byte[] mask = TwoFour.Mask(rows, columns, pruned);
        byte[] kept = new byte[rows * columns / 2];
        for (int row = 0; row < rows; row++)
            TwoFour.Gather(TwoFour.MaskRow(mask, columns, row), codes.Slice(row * columns, columns), kept.AsSpan(row * columns / 2, columns / 2));
        int keptGroup = groupSize == IntWeight.WholeRow ? IntWeight.WholeRow : groupSize / 2;
        return new TwoFourIntWeight(mask, new IntWeight(bits, keptGroup, rows, columns / 2, kept, scales, zeros));
    }

    /// <summary>[outputs, ceil(inputs / 8)], least significant bit first.</summary>
    public ReadOnlySpan<byte> Mask => mask;

    internal byte[] MaskBytes => mask;

    /// <summary>The kept integers [outputs, inputs / 2]; its groups are half as long as the matrix's.</summary>
    public IntWeight Kept { get; }

    /// <summary>The same numbers as a plain integer matrix: where a weight is not kept, its code is the zero point.</summary>
    public IntWeight ToInt()
    {
        byte[] codes = new byte[Rows * Columns], kept = new byte[Kept.Columns];
        int group = Kept.GroupSize == IntWeight.WholeRow ? Math.Max(Kept.Columns, 1) : Kept.GroupSize;
        for (int row = 0; row < Rows; row++)
        {
            Kept.UnpackCodes(row, kept);
            ReadOnlySpan<byte> bits = TwoFour.MaskRow(mask, Columns, row);
            int next = 0;
            for (int column = 0; column < Columns; column++)
            {
                int zero = Kept.IsSymmetric ? Kept.Middle : Kept.Zeros[row * Kept.GroupsPerRow + column / 2 / group];
                codes[row * Columns + column] = (bits[column / 8] >> column % 8 & 1) != 0 ? kept[next++] : (byte)zero;
            }
        }
        return new IntWeight(Kept.Bits, Kept.GroupSize == IntWeight.WholeRow ? IntWeight.WholeRow : 2 * Kept.GroupSize, Rows, Columns, codes, Kept.Scales, Kept.Zeros);
    }

    /// <inheritdoc/>
    public override long ByteCount => mask.Length + Kept.ByteCount;

    /// <inheritdoc/>
    public override string Kind =>
        $"2:4-int{Kept.Bits}-{(Kept.GroupSize == IntWeight.WholeRow ? "channel" : $"g{2 * Kept.GroupSize}")}{(Kept.IsSymmetric ? "" : "-asym")}";

    private protected override PanelProduct Pack(WorkerPool pool) => new Product(this, pool);

    /// <inheritdoc/>
    public override ActivationFormat Wants => Kept.GroupSize == IntWeight.WholeRow || 2 * Kept.GroupSize % IntegerPacking.Steps == 0 ? ActivationFormat.Int8 : ActivationFormat.Float32;

    // Rounded inputs skip the zeros where the kernel knows the storage; other products see a plain integer matrix.
    sealed class Product(TwoFourIntWeight weight, WorkerPool pool) : PanelProduct
    {
        readonly TwoFourProduct? sparse = weight.Kept.Bits <= 4 && weight.Kept.IsSymmetric && weight.Wants == ActivationFormat.Int8 ? TwoFourPacking.Pack(pool, weight) : null;
        PanelProduct? plain;

        PanelProduct Plain(WorkerPool pool) => plain ??= weight.ToInt().ToPanels(pool);

        public override void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y) => Plain(pool).Multiply(pool, x, rows, y);

        public override void Multiply(WorkerPool pool, Int8Rows x, Span<float> y)
        {
            if (sparse is null)
                Plain(pool).Multiply(pool, x, y);
            else
                sparse.Multiply(pool, x, y);
        }
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        float[] kept = ArrayPool<float>.Shared.Rent(Kept.Columns);
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
        {
            Kept.Unpack(row, kept.AsSpan(0, Kept.Columns));
            Bitmask.Scatter<float>(TwoFour.MaskRow(mask, Columns, row), kept, dense[..Columns]);
        }
        ArrayPool<float>.Shared.Return(kept);
    }
}

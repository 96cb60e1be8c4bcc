using Coppice.Compression.Quantize;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>From a bench to storage: the smallest kind that keeps exactly what the steps decided.</summary>
internal static class Packing
{
    /// <summary>The pattern that has a storage of its own.</summary>
    public static readonly SparsityPattern TwoOfFour = new(2, 4);

    /// <summary>Packs what the steps left; f16 where there is no grid.</summary>
    public static Weight Pack(LayerWork work)
    {
        if (work.Grid is { } grid && work.Block is null)
            return work.Wavelet == 0 ? Pack(grid, work) : new WaveletWeight((IntWeight)Pack(grid, work), work.Wavelet);
        if (work.Parts is { } parts)
            return parts.Format.Join(parts);
        float[] values = work.Masked();
        if (work.Block is { } block)
            return block.Round(work.Rows, work.Columns, values, work.Pool);
        if (work.Cast is CastType.Int16)
            return Int16Weight.From(work.Rows, work.Columns, values);
        // A mask keeps f16.
        if (work.Cast is CastType.BFloat16)
            return HalfWeight.From(HalfFormat.BFloat16, work.Rows, work.Columns, values);
        // Where more than half goes, a bitmask is the smaller.
        if (work.Mask is not null && work.Pattern is { IsTwoOfFour: true, Sparsity: 0.5 } && work.Columns % 4 == 0)
            return TwoFourWeight.From(work.Rows, work.Columns, values);
        HalfWeight half = HalfWeight.From(HalfFormat.Float16, work.Rows, work.Columns, values);
        if (work.Mask is null)
            return half;
        SparseWeight sparse = SparseWeight.From(work.Rows, work.Columns, values);
        return sparse.ByteCount < half.ByteCount ? sparse : half;
    }

    static Weight Pack(Grid grid, LayerWork work)
    {
        int groupSize = grid.IsPerRow ? IntWeight.WholeRow : grid.GroupSize;
        if (grid.Levels is { } table)
            return OnLevels(grid, table, groupSize);
        ReadOnlySpan<byte> zeros = grid.Symmetric ? [] : grid.Zeros;
        if (work.Mask is not { } mask || work.Pattern is not { IsTwoOfFour: true } || grid.GroupSize % 4 != 0)
            return new IntWeight(grid.Bits, groupSize, grid.Rows, grid.Columns, grid.Codes, grid.Scales, zeros);
        // The mask decides what is kept, not the numbers: a kept one may have been 0 before it took up its neighbours' errors.
        float[] kept = Array.ConvertAll(mask, keep => keep ? 1f : 0f);
        return TwoFourIntWeight.From(grid.Bits, groupSize, grid.Rows, grid.Columns, kept, grid.Codes, grid.Scales, zeros);
    }

    // 8-bit floating-point numbers with a scale a row have a storage of their own.
    static Weight OnLevels(Grid grid, LevelTable table, int groupSize)
    {
        float[] scales = Array.ConvertAll(grid.Scales, scale => (float)scale);
        foreach (Float8Format format in grid.IsPerRow ? Enum.GetValues<Float8Format>() : [])
            if (table == LevelTables.Of(format))
                return new Float8Weight(format, grid.Rows, grid.Columns, grid.Codes, grid.IsPerMatrix ? scales[..1] : scales);
        return new LevelWeight(table, grid.HasPowerOfTwoScales ? ScaleType.PowerOfTwo : ScaleType.Float16, groupSize, grid.Rows, grid.Columns, grid.Codes, scales);
    }
}

using System.Globalization;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>
/// The share of all numbers that are farthest from 0, with error feedback (Stich et al. 2018): how many, the gaps between their places, entropy coded, and their values. At a share of 1% a place takes about 8 bits.
/// </summary>
public sealed class TopKCodec(double share, SparseValues format = SparseValues.Int4) : StreamCodec
{
    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"topk:{share}:{format.Word()}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        int[] places = TopK.Indices(numbers, (int)Math.Ceiling(share * numbers.Length));
        SparseCodes.Write(writer, numbers, places, format);
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers) => SparseCodes.Read(ref reader, numbers, format);
}

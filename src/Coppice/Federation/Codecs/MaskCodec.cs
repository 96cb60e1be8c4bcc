using System.Globalization;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>
/// A vote on what to keep: 1 for the share of each matrix's weights that are farthest from 0 after local training, and for all numbers of vectors; 0 for the others. A bit a number, the first lowest in its byte, entropy coded.
/// </summary>
public sealed class MaskCodec(double share) : StreamCodec
{
    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"mask:{share}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Linear;

    /// <inheritdoc/>
    public override UpdateKind Kind => UpdateKind.Mask;

    private protected override void Prepare(ReadOnlySpan<float> received, ReadOnlySpan<float> trained, Span<float> numbers) => trained.CopyTo(numbers);

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        byte[] bits = new byte[(numbers.Length + 7) / 8];
        foreach ((string name, Range range) in Places(model))
        {
            ReadOnlySpan<float> tensor = numbers.AsSpan(range);
            foreach (int i in TopK.Indices(tensor, model.Tensors[name].Shape.Rank < 2 ? tensor.Length : (int)Math.Ceiling(share * tensor.Length)))
                bits[range.Start.Value + i >> 3] |= (byte)(1 << (range.Start.Value + i & 7));
        }
        Rans.Write(writer, bits);
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers)
    {
        byte[] bits = new byte[(numbers.Length + 7) / 8];
        Rans.Read(ref reader, bits);
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = bits[i >> 3] >> (i & 7) & 1;
    }
}

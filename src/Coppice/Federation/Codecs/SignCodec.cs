using System.Numerics.Tensors;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>One bit a number with error feedback (Karimireddy et al. 2019): C(p) = mean|p| sign(p), the mean over each tensor. A float32 a tensor, then bits, the first number's lowest; 1 is negative.</summary>
public sealed class SignCodec : StreamCodec
{
    /// <inheritdoc/>
    public override string Name => "sign";

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        foreach ((_, Range range) in Places(model))
            writer.Float(TensorPrimitives.SumOfMagnitudes<float>(numbers.AsSpan(range)) / Math.Max(1, numbers.AsSpan(range).Length));
        Span<byte> bits = writer.Take((numbers.Length + 7) / 8);
        bits.Clear();
        for (int i = 0; i < numbers.Length; i++)
            if (numbers[i] < 0)
                bits[i >> 3] |= (byte)(1 << (i & 7));
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers)
    {
        foreach ((string name, Range range) in Places(model))
        {
            float mean = reader.Float("a mean");
            if (mean < 0)
                throw reader.Error($"the mean of '{name}' is {mean}, wanted 0 or more");
            numbers.AsSpan(range).Fill(mean);
        }
        ReadOnlySpan<byte> bits = reader.Take((numbers.Length + 7) / 8, "signs");
        for (int i = 0; i < numbers.Length; i++)
            if ((bits[i >> 3] >> (i & 7) & 1) != 0)
                numbers[i] = -numbers[i];
    }
}

using System.Globalization;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>
/// A random share of all numbers, with error feedback (Stich et al. 2018). The row is cut into as many stretches as numbers are sent, and a seed of 64 bits chooses one of each: i of k among n is
/// floor(i n / k) + a number below the stretch's length from SplitMix64's output i. No place is sent.
/// </summary>
public sealed class RandomKCodec(double share, SparseValues format = SparseValues.Int4) : StreamCodec
{
    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"randomk:{share}:{format.Word()}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        ulong seed = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        writer.UInt64(seed);
        float[] values = new float[CountOf(numbers.Length)];
        for (int i = 0; i < values.Length; i++)
            values[i] = numbers[Place(seed, i, values.Length, numbers.Length)];
        format.Write(writer, values);
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers)
    {
        ulong seed = reader.UInt64("a seed");
        float[] values = new float[CountOf(numbers.Length)];
        format.Read(ref reader, values);
        for (int i = 0; i < values.Length; i++)
            numbers[Place(seed, i, values.Length, numbers.Length)] = values[i];
    }

    int CountOf(int length) => (int)Math.Ceiling(share * length);

    static int Place(ulong seed, int index, int count, int length)
    {
        int start = (int)((long)index * length / count), end = (int)((index + 1L) * length / count);
        return start + SplitMix.Below(SplitMix.At(seed, (ulong)index), end - start);
    }
}

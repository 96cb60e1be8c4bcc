using System.Numerics;
using Coppice.Federation.Codecs;
using Coppice.Federation.Secure;

namespace Coppice.Tests.Federation.Secure;

public class HadamardTransformTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(16)]
    [InlineData(37)]
    [InlineData(256)]
    [InlineData(300)]
    public void It_is_the_matrix_with_signs_and_goes_back(int length)
    {
        const ulong seed = 77;
        Random random = new(length);
        float[] values = [.. Enumerable.Range(0, length).Select(_ => (float)(2 * random.NextDouble() - 1))], turned = [.. values];
        int power = HadamardTransform.PowerOf(length);
        double[] expected = [.. values.Select(value => (double)value)];
        Multiply(expected.AsSpan(0, power), seed);
        if (power < length)
            Multiply(expected.AsSpan(length - power), seed + 1);

        HadamardTransform.Rotate(turned, seed);
        Assert.All(expected.Zip(turned), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        HadamardTransform.RotateBack(turned, seed);
        Assert.All(values.Zip(turned), pair => Assert.Equal(pair.First, pair.Second, 1e-5));

        // Sylvester's matrix: minus where the bits that both indexes have are odd in number.
        static void Multiply(Span<double> values, ulong seed)
        {
            double[] signed = new double[values.Length];
            for (int i = 0; i < signed.Length; i++)
                signed[i] = (SplitMix.At(seed, (ulong)i / 64) >> (i % 64) & 1) == 0 ? values[i] : -values[i];
            for (int i = 0; i < signed.Length; i++)
            {
                values[i] = 0;
                for (int j = 0; j < signed.Length; j++)
                    values[i] += (BitOperations.PopCount((uint)(i & j)) % 2 == 0 ? signed[j] : -signed[j]) / Math.Sqrt(signed.Length);
            }
        }
    }

    [Theory]
    [InlineData(100_000)]
    [InlineData(1 << 17)]
    public void A_single_large_number_is_spread_over_all(int length)
    {
        float[] values = new float[length];
        (values[3], values[^1]) = (1, 1);
        HadamardTransform.Rotate(values, 5);
        Assert.Equal(2, values.Sum(value => (double)value * value), 1e-4);
        Assert.All(values, value => Assert.InRange(Math.Abs(value), 0, 7 * Math.Sqrt(2.0 / HadamardTransform.PowerOf(length))));
        HadamardTransform.RotateBack(values, 5);
        Assert.Equal(1, values[3], 1e-4f);
        Assert.Equal(1, values[^1], 1e-4f);
        Assert.InRange(values.Where((_, i) => i != 3 && i != length - 1).Max(Math.Abs), 0, 1e-4);
    }
}

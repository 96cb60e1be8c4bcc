using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

/// <summary>Rounding to bfloat16 against the nearer of the two numbers around, found by their distances in double.</summary>
[Collection(SimdCollection.Name)]
public sealed class BFloat16Tests : IDisposable
{
    readonly WorkerPool two = new(2);

    public void Dispose() => two.Dispose();

    public static TheoryData<SimdLevel> Levels => SimdTesting.LevelData;

    [Theory]
    [MemberData(nameof(Levels))]
    public void A_number_becomes_the_nearest_that_bfloat16_has_and_comes_back_as_it(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        float[] special = [0, -0f, 1, 1 + 1f / 256, 1 + 3f / 256, 1 + 1f / 256 + 1e-6f, float.Epsilon, 1e-40f, float.MaxValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN, -float.NaN, BitConverter.UInt32BitsToSingle(0x7fffffff), BitConverter.UInt32BitsToSingle(0x7f800001)];
        foreach (int n in Enumerable.Range(0, 71).Append(40_003))
        {
            float[] x = SimdTesting.Numbers(n);
            for (int i = 0; i < n; i++)
                x[i] = i % 3 == 0 ? special[i / 3 % special.Length] : x[i] * MathF.Exp(30 * x[n - 1 - i]);
            ushort[] narrow = new ushort[n];
            BFloat16.Narrow(two, x, narrow);
            float[] wide = new float[n];
            BFloat16.Widen(two, narrow, wide);
            for (int i = 0; i < n; i++)
                Assert.True(float.IsNaN(x[i]) ? float.IsNaN(wide[i]) : wide[i].Equals(Nearest(x[i])) && float.IsNegative(wide[i]) == float.IsNegative(x[i]), $"{x[i]:R} of {n} became {wide[i]:R}");
        }
        Assert.Throws<ArgumentException>(() => BFloat16.Narrow(two, new float[3], new ushort[2]));
        Assert.Throws<ArgumentException>(() => BFloat16.Widen(two, new ushort[3], new float[2]));
    }

    static float Nearest(float x)
    {
        if (float.IsInfinity(x) || x == 0)
            return x;
        uint below = BitConverter.SingleToUInt32Bits(x) & 0xffff0000;
        float near = BitConverter.UInt32BitsToSingle(below), far = BitConverter.UInt32BitsToSingle(below + 0x10000);
        // Past the largest number there is 2^128, which counts as infinity.
        double further = float.IsInfinity(far) ? Math.CopySign(Math.Pow(2, 128), x) : far, down = Math.Abs(x - (double)near), up = Math.Abs(further - x);
        return down < up || down == up && (below & 0x10000) == 0 ? near : far;
    }
}

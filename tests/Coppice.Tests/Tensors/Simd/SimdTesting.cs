using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

/// <summary>Tests that choose the process's SIMD level or count allocations run one at a time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class SimdCollection
{
    public const string Name = "simd";
}

/// <summary>What the kernel tests share: numbers, levels, comparison.</summary>
static class SimdTesting
{
    /// <summary>The levels that this processor has.</summary>
    public static SimdLevel[] Levels { get; } = [.. Enum.GetValues<SimdLevel>().Where(level => level.IsSupported)];

    public static TheoryData<SimdLevel> LevelData => [.. Levels];

    public static float[] Numbers(int count, int seed = 1)
    {
        var random = new Random(seed);
        float[] numbers = new float[count];
        foreach (ref float number in numbers.AsSpan())
            number = random.NextSingle() * 2 - 1;
        return numbers;
    }

    /// <summary>Fails unless both hold the same bits.</summary>
    public static void SameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i]))
                Assert.Fail($"{what}: element {i} is {actual[i]:R}, wanted the bits of {expected[i]:R}");
    }

    /// <summary>Fails where an element is off by more than <paramref name="tolerance"/>, absolute or relative, or is not a number.</summary>
    public static void Close(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (!(Math.Abs(expected[i] - actual[i]) <= tolerance * Math.Max(1, Math.Abs(expected[i]))))
                Assert.Fail($"{what}: element {i} is {actual[i]:R}, wanted {expected[i]:R}");
    }

    public static double[] Doubles(ReadOnlySpan<float> values)
    {
        double[] doubles = new double[values.Length];
        for (int i = 0; i < doubles.Length; i++)
            doubles[i] = values[i];
        return doubles;
    }

    public static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>The slope of <paramref name="loss"/> in each of <paramref name="variables"/>, by central differences in double.</summary>
    public static double[] Slopes(double[] variables, Func<double> loss)
    {
        double[] slopes = new double[variables.Length];
        for (int i = 0; i < slopes.Length; i++)
        {
            double value = variables[i], step = 1e-5;
            variables[i] = value + step;
            double above = loss();
            variables[i] = value - step;
            slopes[i] = (above - loss()) / (2 * step);
            variables[i] = value;
        }
        return slopes;
    }
}

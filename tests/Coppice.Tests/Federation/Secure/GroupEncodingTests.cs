using Coppice.Federation.Secure;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Secure;

public class GroupEncodingTests
{
    static AesCtr Rounding(int seed) => new([.. Enumerable.Repeat((byte)seed, 32)]);

    static float[] Delta(int seed, int count, double norm)
    {
        Random random = new(seed);
        // Some numbers are far larger than others.
        double[] values = [.. Enumerable.Range(0, count).Select(i => (2 * random.NextDouble() - 1) * (i % 50 == 0 ? 30 : 1))];
        double scale = norm / Math.Sqrt(values.Sum(value => value * value));
        return [.. values.Select(value => (float)(value * scale))];
    }

    [Theory]
    [InlineData(SecureTransform.Hadamard, 16, 1000, 2e-3)]
    [InlineData(SecureTransform.Hadamard, 8, 1000, 0.5)]
    [InlineData(SecureTransform.Hadamard, 16, 64, 2e-3)]
    [InlineData(SecureTransform.None, 24, 1000, 1e-4)]
    public void A_sum_says_the_mean_by_windows_and_what_else_clients_have_to_say(SecureTransform transform, int bits, int count, double tolerance)
    {
        SecureOptions options = new() { Clip = 2, Bits = bits, Transform = transform, MaxWeight = 100 };
        GroupEncoding encoding = new(options, 7, count);
        // The third is shortened to 2; the fourth weighs 100.
        (float[] Delta, int Samples, double Before, double After)[] clients = [(Delta(1, count, 1), 50, 3, 2.5), (Delta(2, count, 2), 20, 4, 3.5), (Delta(3, count, 8), 80, 2, 1.5), (Delta(4, count, 0.5), 5000, 1, 0.75)];
        uint[] sum = new uint[encoding.Length];
        double[] expected = new double[count];
        double weights = 0;
        foreach ((float[] delta, int samples, double before, double after) in clients)
        {
            double weight = Math.Min(100, samples), norm = Math.Sqrt(delta.Sum(value => (double)value * value));
            weights += weight;
            for (int i = 0; i < count; i++)
                expected[i] += weight * delta[i] * Math.Min(1, 2 / norm);
            using AesCtr rounding = Rounding(samples);
            uint[] encoded = encoding.Encode([.. delta], samples, before, after, rounding);
            Assert.All(encoded, number => Assert.InRange(number, 0u, (1u << bits) - 1));
            for (int i = 0; i < sum.Length; i++)
                sum[i] += encoded[i];
        }
        SecureMean mean = encoding.Decode(sum, clients.Length);
        Assert.Equal(250, mean.Weight);
        Assert.Equal(1, mean.Shortened);
        Assert.Equal((50 * 3 + 20 * 4 + 80 * 2 + 100 * 1) / 250.0, mean.LossBefore, 1e-5);
        Assert.Equal((50 * 2.5 + 20 * 3.5 + 80 * 1.5 + 100 * 0.75) / 250.0, mean.LossAfter, 1e-5);
        double error = Math.Sqrt(expected.Zip(mean.Mean, (a, b) => (a / weights - b) * (a / weights - b)).Sum());
        Assert.InRange(error, 0, tolerance);
    }

    [Fact]
    public void With_noise_sums_lie_on_both_sides_of_zero_and_say_nothing_else()
    {
        GroupEncoding encoding = new(new SecureOptions { Bits = 8, Transform = SecureTransform.None, MaxWeight = 1, Noise = 1 }, 1, 3);
        using AesCtr rounding = Rounding(1);
        uint[] sum = encoding.Encode([0.5f, -0.5f, 0], 7, 3, 2.5, rounding);
        Assert.Equal([1u, 0, 0, 0], Enumerable.Range(0, 4).Select(field => sum[3 + 6 * field]));
        const int modulusBits = 12;
        foreach ((int noise, int at) in new[] { (-900, 0), (1000, 1), (-2, 2) })
            sum[at] = (uint)(sum[at] + noise) & ((1u << modulusBits) - 1);
        SecureMean mean = encoding.Decode(sum, 1, modulusBits);
        Assert.Equal([0.5 - 900 * encoding.Step, -0.5 + 1000 * encoding.Step, -2 * encoding.Step], mean.Mean.Select(value => (double)value), (a, b) => Math.Abs(a - b) <= 1.01 * encoding.Step);
        Assert.True(double.IsNaN(mean.LossBefore) && double.IsNaN(mean.LossAfter));
        sum[3 + 6] = 1;
        Assert.Contains("sent something else", Assert.Throws<CoppiceException>(() => encoding.Decode(sum, 1, modulusBits)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rounding_is_unbiased()
    {
        const int draws = 4000;
        GroupEncoding encoding = new(new SecureOptions { Bits = 4, Transform = SecureTransform.None, MaxWeight = 1 }, 1, 3);
        float[] delta = [0.3f, -0.52f, 0.01f];
        double[] sums = new double[3];
        using AesCtr rounding = Rounding(1);
        for (int draw = 0; draw < draws; draw++)
        {
            uint[] encoded = encoding.Encode([.. delta], 1, 1, 1, rounding);
            for (int i = 0; i < 3; i++)
                sums[i] += ((int)encoded[i] - 7) * encoding.Step;
        }
        // Deviation of a number at most half a step of 1/7. A draw is not taken where its norm is far too long, which here is never.
        Assert.All(delta.Zip(sums), pair => Assert.InRange(pair.Second / draws - pair.First, -4 * 0.0715 / Math.Sqrt(draws), 4 * 0.0715 / Math.Sqrt(draws)));
    }

    [Fact]
    public void What_is_sent_is_no_longer_than_the_bound()
    {
        const int count = 256;
        SecureOptions options = new() { Clip = 1, Bits = 5, MaxWeight = 1 };
        GroupEncoding encoding = new(options, 3, count);
        double norm = 1 / encoding.Step, bound = Math.Min(norm + Math.Sqrt(count), Math.Sqrt(norm * norm + count / 4.0 + norm + Math.Sqrt(count) / 2));
        using AesCtr rounding = Rounding(2);
        double longest = 0;
        for (int seed = 0; seed < 300; seed++)
        {
            uint[] encoded = encoding.Encode(Delta(seed, count, 5), 1, 1, 1, rounding);
            longest = Math.Max(longest, Math.Sqrt(encoded.Take(count).Sum(number => ((int)number - 15.0) * ((int)number - 15.0))));
        }
        Assert.InRange(longest, norm, bound);
    }

    [Fact]
    public void What_cannot_be_encoded_or_be_a_sum_is_refused()
    {
        GroupEncoding encoding = new(new SecureOptions { MaxWeight = 10 }, 1, 3);
        using AesCtr rounding = Rounding(1);
        Assert.Contains("diverged", Assert.Throws<CoppiceException>(() => encoding.Encode([1, float.NaN, 0], 1, 1, 1, rounding)).Message, StringComparison.Ordinal);
        Assert.Contains("2000 nats", Assert.Throws<CoppiceException>(() => encoding.Encode([1, 0, 0], 1, 2000, 1, rounding)).Message, StringComparison.Ordinal);
        uint[] encoded = encoding.Encode([1, 0, 0], 10, 1, 1, rounding);
        Assert.Equal(10, encoding.Decode(encoded, 1).Weight);
        encoded[3]++;
        Assert.Contains("sent something else", Assert.Throws<CoppiceException>(() => encoding.Decode(encoded, 1)).Message, StringComparison.Ordinal);
    }
}

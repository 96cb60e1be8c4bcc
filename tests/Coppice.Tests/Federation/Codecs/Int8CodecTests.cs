using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Codecs;

public class Int8CodecTests
{
    [Fact]
    public void Stochastic_rounding_is_off_by_less_than_a_step_and_right_on_average()
    {
        Random random = new(3);
        float[] values = [.. Enumerable.Range(0, 64).Select(_ => (float)(random.NextDouble() - 0.5) * 0.02f)];
        values[7] = 0;
        double step = values.Max(Math.Abs) / 127.0;
        const int draws = 4000;
        double[] sum = new double[values.Length];
        sbyte[] codes = new sbyte[values.Length];
        for (int draw = 0; draw < draws; draw++)
        {
            float scale = Int8Codec.Pack(values, random, codes);
            for (int i = 0; i < values.Length; i++)
            {
                double restored = (double)codes[i] * scale;
                Assert.InRange(Math.Abs(restored - values[i]), 0, step * (1 + 1e-6));
                sum[i] += restored;
            }
        }
        // The deviation of one draw is at most step / 2: five deviations of the mean.
        Assert.All(Enumerable.Range(0, values.Length), i => Assert.InRange(sum[i] / draws - values[i], -5 * step / 2 / Math.Sqrt(draws), 5 * step / 2 / Math.Sqrt(draws)));
        Assert.Equal(0, sum[7]);
    }

    // The last ones of a run are rounded one by one, the others side by side.
    [Theory]
    [InlineData(true), InlineData(false)]
    public void Sixteen_at_a_time_are_rounded_as_one_is(bool isStochastic)
    {
        Random random = new(5);
        float[] values = [.. Enumerable.Range(0, 64).Select(_ => (float)(random.NextDouble() - 0.5))];
        values[0] = 1;
        sbyte[] codes = new sbyte[values.Length];
        float scale = Int8Codec.Pack(values, isStochastic ? new Random(9) : null, codes);
        ulong seed = (ulong)new Random(9).NextInt64();
        Assert.Equal(values.Select((value, i) => (sbyte)(isStochastic ? Math.Min(127, Math.Floor(value / (double)scale + SplitMix.Unit(seed, (ulong)i))) : Math.Round(value / (double)scale))), codes);
    }

    [Fact]
    public void The_largest_number_of_a_run_comes_back_within_float_rounding()
    {
        sbyte[] codes = new sbyte[3];
        foreach (float largest in new[] { 1f, 0.3f, 1e-20f, float.Epsilon, 3e38f })
        {
            float scale = Int8Codec.Pack([largest, -largest, 0], new Random(1), codes);
            Assert.Equal(1, codes[0] * (double)scale / largest, largest == float.Epsilon ? 0.0 : 1e-6);
            Assert.Equal(-codes[0], codes[1]);
        }
        Assert.Equal(0, Int8Codec.Pack([0, 0, 0], new Random(1), codes));
    }

    [Fact]
    public void With_error_feedback_what_was_sent_over_all_rounds_is_the_sum_of_the_deltas_less_one_rounding()
    {
        Int8Codec codec = new(Int8Rounding.ErrorFeedback);
        Random random = new(4);
        ParameterSet zero = Set(new float[300]), memory = zero.Zeros();
        double[] deltas = new double[300], sent = new double[300];
        double largest = 0;
        for (int round = 0; round < 20; round++)
        {
            float[] delta = [.. Enumerable.Range(0, 300).Select(_ => (float)(random.NextDouble() - 0.3))];
            ParameterSet decoded = codec.Decode(SafeTensors.Read("test", SafeTensorsWriter.ToBytes(codec.Encode(zero, Set(delta), memory, random))), zero);
            for (int i = 0; i < 300; i++)
            {
                deltas[i] += delta[i];
                sent[i] += decoded.Tensors["w"].Data[i];
                largest = Math.Max(largest, Math.Abs(decoded.Tensors["w"].Data[i]));
            }
        }
        double half = largest / 127 / 2;
        Assert.All(Enumerable.Range(0, 300), i =>
        {
            Assert.InRange(deltas[i] - sent[i], -half * 1.001, half * 1.001);
            Assert.Equal(deltas[i] - sent[i], memory.Tensors["w"].Data[i], 1e-5);
        });
    }

    [Fact]
    public void A_number_costs_a_byte_and_a_run_of_256_a_scale()
    {
        ParameterSet zero = Set(new float[1000]);
        IReadOnlyList<TensorSource> sources = new Int8Codec().Encode(zero, zero, null, new Random(1));
        Assert.Equal(1000 + 4 * 4, sources.Sum(source => source.ByteCount));
    }

    static ParameterSet Set(float[] values) => new([("w", Tensor.From([values.Length], values))]);
}

using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Tests.Evaluation;
using Coppice.Tests.Tensors.Simd;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Inference;

[Collection(SimdCollection.Name)]
public sealed class ActivationRangesTests : IDisposable
{
    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void Bins_are_eighths_of_a_doubling_and_rules_end_where_they_say()
    {
        ActivationHistogram histogram = new();
        // 1 lies in [1, 1.125), 9990 times; ten outliers at 100 in [96, 104).
        histogram.Add(Enumerable.Repeat(-1f, 9990).Concat(Enumerable.Repeat(100f, 10)).ToArray());
        Assert.Equal((10000, 100f), (histogram.Count, histogram.Max));
        Assert.Equal([9990L, 10L], histogram.Counts.ToArray().Where(count => count > 0));
        Assert.Equal(9990, histogram.Counts[24 * 8]);
        Assert.Equal(10, histogram.Counts[(24 + 6) * 8 + 4]);
        Assert.Equal(100, histogram.Range(RangeRule.AbsMax));
        Assert.Equal(1.125f, histogram.Range(RangeRule.Percentile));
        // To cut the outliers off at 88 costs 10 * 144, a step of 100 / 127 costs 10000 * 0.05.
        Assert.Equal(100, histogram.Range(RangeRule.SquaredError));
    }

    [Fact]
    public void Squared_error_cuts_off_an_outlier_among_very_many()
    {
        ActivationHistogram histogram = new();
        for (int i = 0; i < 100; i++)
            histogram.Add(Enumerable.Repeat(1f, 10000).ToArray());
        histogram.Add([8f]);
        // A million numbers at a step of r / 127 cost 5.2 r^2; one cut off at r costs (8 - r)^2.
        Assert.Equal(1.25f, histogram.Range(RangeRule.SquaredError), 0.13f);
    }

    [Theory]
    [InlineData(1f)]
    [InlineData(0.4f)]
    public void Rows_within_a_range_are_its_steps_at_every_width(float range)
    {
        float[] x = SimdTesting.Numbers(3 * 70);
        foreach (SimdLevel level in SimdTesting.Levels)
        {
            using var _ = SimdLevel.Select(level);
            Int8Rows rows = new();
            rows.Fill(pool, x, 3, 70, range);
            for (int row = 0; row < 3; row++)
                for (int i = 0; i < 70; i++)
                    unsafe
                    {
                        Int8Pointers at = rows.Pointers.From(row);
                        Assert.Equal(range / 127, at.Scales[i / 32]);
                        Assert.Equal((sbyte)MathF.Round(Math.Clamp(x[row * 70 + i], -range, range) * (127 / range)), at.Codes[i]);
                    }
        }
    }

    [Fact]
    public void Reports_of_two_machines_add_up_to_what_one_would_have_seen()
    {
        DecoderModel model = TinyModels.Model(3);
        int[][] texts = [[1, 2, 3, 4], [9, 8, 7]];
        ActivationRanges both = ActivationRanges.Gather(model, texts, pool), first = ActivationRanges.Gather(model, texts[..1], pool), merged = new(model);
        merged.Merge(ActivationRanges.Gather(model, texts[1..], pool));
        MemoryStream wire = new();
        first.Write(wire);
        wire.Position = 0;
        merged.Read(wire, "edge 1");
        Assert.Equal(both.Seen.Keys, merged.Seen.Keys);
        foreach ((string name, ActivationHistogram histogram) in both.Seen)
        {
            Assert.Equal(histogram.Max, merged.Seen[name].Max);
            Assert.Equal(histogram.Counts.ToArray(), merged.Seen[name].Counts.ToArray());
        }
        CoppiceException foreign = Assert.Throws<CoppiceException>(() => merged.Read(new MemoryStream("{\"layers.0.x\":{\"max\":1,\"counts\":[]}}"u8.ToArray()), "edge 2"));
        Assert.StartsWith("edge 2: names a matrix 'layers.0.x'", foreign.Message, StringComparison.Ordinal);
        Assert.StartsWith("edge 3: is no report", Assert.Throws<CoppiceException>(() => merged.Read(new MemoryStream("[1"u8.ToArray()), "edge 3")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_matrix_rounds_by_its_range_keeps_floats_if_told_to_and_is_refused_without_a_range()
    {
        Linear layer = new(BlockWeight.From<Q8_0>(8, 32, SimdTesting.Numbers(256, 4)));
        Tensor x = Tensor.From([2, 32], SimdTesting.Numbers(64));
        ForwardContext context = new(pool) { Activations = ActivationFormat.Int8Static };
        Assert.Contains("[8, 32] has no range", Assert.Throws<CoppiceException>(() => layer.Forward(x, context)).Message, StringComparison.Ordinal);
        layer.InputRange = 0.5f;
        float[] rounded = [.. x.Data.ToArray().Select(value => MathF.Round(Math.Clamp(value, -0.5f, 0.5f) * 254) / 254)];
        float[] wanted = layer.Forward(Tensor.From([2, 32], rounded), new ForwardContext(pool)).Data.ToArray();
        SimdTesting.Close(SimdTesting.Doubles(wanted), layer.Forward(x, context).Data, 1e-5, "rounded within 0.5");
        layer.KeepsFloatInputs = true;
        SimdTesting.SameBits(layer.Forward(x, new ForwardContext(pool)).Data, layer.Forward(x, context).Data, "floats");
    }
}

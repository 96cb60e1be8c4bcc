using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Codecs;

public class StreamCodecTests
{
    const int Rows = 48, Columns = 40;

    public static TheoryData<string> Feedback => [.. new[] { "sign", "topk:0.05", "topk:0.05:float16", "randomk:0.1", "randomk:0.1:float16", "powersgd:2", "pq:4:16", "sketch:0.3" }];

    [Theory]
    [MemberData(nameof(Feedback))]
    public void With_error_feedback_what_was_sent_and_what_is_left_are_the_sum_of_the_deltas(string name)
    {
        ICodec codec = CodecRegistry.Find(name);
        ParameterSet zero = Set(_ => 0), memory = codec.NewMemory(zero)!, deltas = zero.Zeros(), sent = zero.Zeros();
        for (int round = 0; round < 12; round++)
        {
            Random draw = new(round);
            ParameterSet delta = Set(i => (float)(draw.NextDouble() - 0.4) * (i % 7 == 0 ? 1 : 0.1f));
            Add(deltas, delta);
            Add(sent, Trip(codec, zero, delta, memory, new Random(round)));
        }
        foreach ((string tensor, Tensor sum) in deltas.Tensors)
            for (int i = 0; i < sum.Data.Length; i++)
                Assert.Equal(sum.Data[i], sent.Tensors[tensor].Data[i] + memory.Tensors[tensor].Data[i], 1e-4f);
    }

    [Theory]
    [MemberData(nameof(Feedback))]
    public void With_error_feedback_a_constant_delta_is_sent_almost_whole_in_the_end(string name)
    {
        ICodec codec = CodecRegistry.Find(name);
        Random draw = new(8);
        ParameterSet zero = Set(_ => 0), memory = codec.NewMemory(zero)!, delta = Set(i => (float)(draw.NextDouble() - 0.5)), sent = zero.Zeros();
        const int rounds = 200;
        for (int round = 0; round < rounds; round++)
            Add(sent, Trip(codec, zero, delta, memory, new Random(round)));
        double error = 0, norm = 0;
        foreach ((string tensor, Tensor one) in delta.Tensors)
            for (int i = 0; i < one.Data.Length; i++)
            {
                error += Math.Pow(sent.Tensors[tensor].Data[i] / (double)rounds - one.Data[i], 2);
                norm += Math.Pow(one.Data[i], 2);
            }
        Assert.InRange(Math.Sqrt(error / norm), 0, 0.3);
    }

    [Fact]
    public void Int4_is_right_on_average_and_off_by_less_than_a_step()
    {
        ICodec codec = CodecRegistry.Find("int4");
        Random draw = new(1), random = new(2);
        ParameterSet zero = Set(_ => 0), delta = Set(_ => (float)(draw.NextDouble() - 0.5)), sum = zero.Zeros();
        const int draws = 600;
        for (int i = 0; i < draws; i++)
        {
            ParameterSet one = Trip(codec, zero, delta, null, random);
            Add(sum, one);
            Assert.All(one.Tensors["w"].Data.ToArray().Zip(delta.Tensors["w"].Data.ToArray()), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 0.5 / 7 * 1.0001));
        }
        // A draw's deviation is at most half a step: six deviations of the mean, of 1,920 numbers.
        Assert.All(sum.Tensors["w"].Data.ToArray().Zip(delta.Tensors["w"].Data.ToArray()), pair => Assert.InRange(pair.First / draws - pair.Second, -6 * 0.5 / 14 / Math.Sqrt(draws), 6 * 0.5 / 14 / Math.Sqrt(draws)));
    }

    [Fact]
    public void Top_k_sends_the_numbers_farthest_from_zero_and_no_other()
    {
        float[] values = [0.1f, -5, 2, 0, -2, 4, 0.3f, -0.2f];
        Assert.Equal([1, 2, 5], TopK.Indices(values, 3));
        Assert.Equal([1, 2, 4, 5], TopK.Indices(values, 4));
        Assert.Equal([1], TopK.Indices(values, 1));
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], TopK.Indices(values, 8));
        Assert.Empty(TopK.Indices(values, 0));
        Random random = new(3);
        float[] many = [.. Enumerable.Range(0, 5000).Select(_ => (float)(random.NextDouble() - 0.5) * random.Next(3))];
        int[] wanted = [.. Enumerable.Range(0, many.Length).OrderByDescending(i => Math.Abs(many[i])).Take(700).Order()];
        Assert.Equal(wanted, TopK.Indices(many, 700));
    }

    [Fact]
    public void Four_bits_keep_a_kept_number_within_its_grid()
    {
        ICodec codec = CodecRegistry.Find("topk:1");
        ParameterSet zero = Set(_ => 0), delta = Set(i => (i % 2 == 0 ? 1 : -1) * MathF.Pow(2, -(i % 60) / 10f)), memory = codec.NewMemory(zero)!;
        ParameterSet sent = Trip(codec, zero, delta, memory, new Random(1));
        // Six ratios from 2^-5.9 to 1, each 2^0.983: the nearest level is within (r - 1) / 2 of the lower one.
        float[] wanted = delta.Tensors["w"].Data.ToArray(), found = sent.Tensors["w"].Data.ToArray();
        for (int i = 0; i < wanted.Length; i++)
            Assert.InRange(found[i] / wanted[i], 2 / (1 + MathF.Pow(2, 0.984f)), (1 + MathF.Pow(2, 0.984f)) / 2);
    }

    [Fact]
    public void Power_iteration_finds_a_matrix_of_low_rank_whole()
    {
        ICodec codec = CodecRegistry.Find("powersgd:2");
        Random draw = new(4);
        double[] a = [.. Enumerable.Range(0, 2 * Rows).Select(_ => draw.NextDouble() - 0.5)], b = [.. Enumerable.Range(0, 2 * Columns).Select(_ => draw.NextDouble() - 0.5)];
        ParameterSet zero = Set(_ => 0), memory = codec.NewMemory(zero)!;
        ParameterSet delta = Set(i => i < Rows * Columns ? (float)(a[i / Columns] * b[i % Columns] + a[Rows + i / Columns] * b[Columns + i % Columns]) : 0);
        ParameterSet sent = Trip(codec, zero, delta, memory, new Random(1));
        // Rank 2 is held whole but for the factors' 8 bits.
        for (int i = 0; i < Rows * Columns; i++)
            Assert.Equal(delta.Tensors["w"].Data[i], sent.Tensors["w"].Data[i], 0.02f);
    }

    [Fact]
    public void A_mask_is_one_for_the_largest_weights_and_for_every_number_of_a_vector()
    {
        ICodec codec = CodecRegistry.Find("mask:0.25");
        ParameterSet weights = Set(i => (i * 37 % 101) - 50.5f), mask = Trip(codec, Set(_ => 1), weights, null, new Random(1));
        float limit = weights.Tensors["w"].Data.ToArray().Select(Math.Abs).OrderDescending().ElementAt(Rows * Columns / 4 - 1);
        Assert.Equal(Rows * Columns / 4, mask.Tensors["w"].Data.ToArray().Sum());
        Assert.All(Enumerable.Range(0, Rows * Columns), i => Assert.True(mask.Tensors["w"].Data[i] == 0 || Math.Abs(weights.Tensors["w"].Data[i]) >= limit));
        Assert.All(mask.Tensors["v"].Data.ToArray(), value => Assert.Equal(1, value));
    }

    [Theory]
    [InlineData("int4", 3.6)]
    [InlineData("sign", 1.05)]
    [InlineData("topk:0.01", 0.15)]
    [InlineData("randomk:0.01", 0.05)]
    [InlineData("powersgd:1", 0.4)]
    [InlineData("pq:8:16", 0.6)]
    [InlineData("sketch:0.02", 0.2)]
    [InlineData("mask:0.1", 0.5)]
    public void A_code_takes_no_more_bits_a_number_than_it_should(string name, double bits)
    {
        Random draw = new(6);
        ParameterSet zero = new([("w", new Tensor([400, 500]))]);
        ParameterSet delta = new([("w", Tensor.From([400, 500], [.. Enumerable.Range(0, 200_000).Select(_ => (float)(draw.NextDouble() + draw.NextDouble() + draw.NextDouble() + draw.NextDouble() - 2))]))]);
        ICodec codec = CodecRegistry.Find(name);
        IReadOnlyList<TensorSource> sources = codec.Encode(zero, delta, codec.NewMemory(zero), new Random(1));
        Assert.InRange(sources.Sum(source => source.ByteCount) * 8 / 200_000.0, 0.01, bits);
    }

    [Theory]
    [InlineData("int4")]
    [InlineData("sign")]
    [InlineData("topk:0.05")]
    [InlineData("topk:0.05:float16")]
    [InlineData("randomk:0.05")]
    [InlineData("powersgd:2")]
    [InlineData("pq:4:16")]
    [InlineData("sketch:0.1")]
    [InlineData("mask:0.3")]
    public void Whatever_bytes_arrive_finite_numbers_come_or_one_clear_error(string name)
    {
        ICodec codec = CodecRegistry.Find(name);
        Random draw = new(7);
        ParameterSet zero = Set(_ => 0);
        byte[] honest = SafeTensors.Read("test", SafeTensorsWriter.ToBytes(codec.Encode(zero, Set(_ => (float)(draw.NextDouble() - 0.5)), codec.NewMemory(zero), draw))).Find("update").ToBytes();
        int refused = 0;
        for (int attempt = 0; attempt < 300; attempt++)
        {
            byte[] bytes = attempt % 3 == 0 ? honest[..draw.Next(honest.Length)] : attempt % 3 == 1 ? [.. honest, 0] : [.. honest];
            for (int flips = draw.Next(1, 4); flips > 0 && bytes.Length > 0; flips--)
                bytes[draw.Next(bytes.Length)] = (byte)draw.Next(256);
            try
            {
                ParameterSet values = codec.Decode(SafeTensors.Read("update of client 'x'", SafeTensorsWriter.ToBytes([TensorSource.Raw("update", DType.U8, [bytes.Length], bytes)])), zero);
                Assert.All(values.Tensors.Values, tensor => Assert.All(tensor.Data.ToArray(), value => Assert.True(float.IsFinite(value))));
            }
            catch (CoppiceException error)
            {
                refused++;
                Assert.Contains("update of client 'x'", error.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', error.Message);
            }
        }
        Assert.True(refused >= 150, $"{refused} refused");
    }

    [Theory]
    [InlineData("topk:0.01", "topk:0.01:int4")]
    [InlineData("topk:0.01:float16", "topk:0.01:float16")]
    [InlineData("randomk:0.5", "randomk:0.5:int4")]
    [InlineData("powersgd", "powersgd:4")]
    [InlineData("pq::16", "pq:8:16")]
    [InlineData("sketch:0.02", "sketch:0.02:3")]
    [InlineData("mask:0.5", "mask:0.5")]
    [InlineData("int8-feedback", "int8-feedback")]
    public void A_name_is_read_and_written_with_all_its_parameters(string text, string name)
    {
        Assert.Equal(name, CodecRegistry.Find(text).Name);
        Assert.Equal(name, CodecRegistry.Find(name).Name);
    }

    [Theory]
    [InlineData("zip", "'zip' is none of identity")]
    [InlineData("topk", "lacks a share")]
    [InlineData("topk:2", "wanted a number from 1E-06 to 1")]
    [InlineData("topk:NaN", "wanted a number")]
    [InlineData("topk:0.1:int5", "wanted int4 or float16")]
    [InlineData("int8:3", "has '3' too many")]
    [InlineData("powersgd:1.5", "wanted a whole number")]
    public void A_wrong_name_is_refused(string text, string reason) => Assert.Contains(reason, Assert.Throws<CoppiceException>(() => CodecRegistry.Find(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Unsound_mixes_are_refused_with_the_reason()
    {
        Assert.Contains("rounding of the download", CodecRules.Fault(CodecRegistry.Find("identity"), CodecUse.RoundedDownload), StringComparison.Ordinal);
        Assert.Contains("'topk:0.01:int4' is not linear", CodecRules.Fault(CodecRegistry.Find("topk:0.01"), CodecUse.SecureAggregation), StringComparison.Ordinal);
        Assert.Contains("without error feedback", CodecRules.Fault(CodecRegistry.Find("sign"), CodecUse.Clipping), StringComparison.Ordinal);
        Assert.Contains("maskvote", CodecRules.Fault(CodecRegistry.Find("mask:0.5"), CodecUse.Averaging), StringComparison.Ordinal);
        Assert.Contains("wanted codec mask", CodecRules.Fault(CodecRegistry.Find("int8"), CodecUse.Voting), StringComparison.Ordinal);
        Assert.Null(CodecRules.Fault(CodecRegistry.Find("identity"), CodecUse.SecureAggregation));
        Assert.Null(CodecRules.Fault(CodecRegistry.Find("int4"), CodecUse.Clipping));
        Assert.Null(CodecRules.Fault(CodecRegistry.Find("float16"), CodecUse.RoundedDownload));
    }

    // A matrix, and a vector after its numbers.
    static ParameterSet Set(Func<int, float> value) => new(
    [
        ("w", Tensor.From([Rows, Columns], [.. Enumerable.Range(0, Rows * Columns).Select(value)])),
        ("v", Tensor.From([9], [.. Enumerable.Range(Rows * Columns, 9).Select(value)])),
    ]);

    static ParameterSet Trip(ICodec codec, ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random) =>
        codec.Decode(SafeTensors.Read("test", SafeTensorsWriter.ToBytes(codec.Encode(received, trained, memory, random))), received);

    static void Add(ParameterSet sum, ParameterSet part)
    {
        foreach ((string name, Tensor tensor) in sum.Tensors)
            for (int i = 0; i < tensor.Data.Length; i++)
                tensor.Data[i] += part.Tensors[name].Data[i];
    }
}

using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

[Collection(SimdCollection.Name)]
public sealed class CachedAttentionTests : IDisposable
{
    readonly WorkerPool one = new(1), two = new(2);

    public void Dispose()
    {
        one.Dispose();
        two.Dispose();
    }

    // Heads, widths and lengths around every boundary: one row, a few, whole tiles, more than a block of rows, more keys than are decoded at a time.
    static IEnumerable<(AttentionShape Shape, int Tokens)> Cases() =>
        [(new(1, 1, 2), 3), (new(3, 1, 18), 70), (new(4, 2, 16), 40), (new(10, 2, 34), 17), (new(2, 2, 64), 66), (new(2, 1, 8), 300)];

    public static TheoryData<SimdLevel, KeyValueFormat> Every
    {
        get
        {
            TheoryData<SimdLevel, KeyValueFormat> every = [];
            foreach (SimdLevel level in SimdTesting.Levels)
                foreach (KeyValueFormat format in Enum.GetValues<KeyValueFormat>())
                    every.Add(level, format);
            return every;
        }
    }

    [Theory]
    [MemberData(nameof(Every))]
    public void Any_number_of_queries_agrees_with_the_definition_in_double_over_the_numbers_as_they_are_stored(SimdLevel level, KeyValueFormat format)
    {
        using var _ = SimdLevel.Select(level);
        foreach (var (shape, tokens) in Cases())
        {
            Problem problem = new(shape, tokens, format);
            double[] wanted = problem.Output();
            foreach (int step in (int[])[1, 5, tokens])
                SimdTesting.Close(wanted, problem.Run(two, step), 3e-5, $"{format} {shape}, {tokens} tokens, {step} at a time");
        }
    }

    [Theory]
    [InlineData(KeyValueFormat.Float32)]
    [InlineData(KeyValueFormat.Float16)]
    [InlineData(KeyValueFormat.Int8)]
    [InlineData(KeyValueFormat.Int4)]
    [InlineData(KeyValueFormat.Int4Token)]
    public void Neither_chunks_nor_threads_nor_widths_change_a_bit(KeyValueFormat format)
    {
        foreach (var (shape, tokens) in Cases())
        {
            Problem problem = new(shape, tokens, format);
            float[]? expected = null;
            foreach (SimdLevel level in SimdTesting.Levels)
            {
                using var _ = SimdLevel.Select(level);
                foreach (WorkerPool pool in (WorkerPool[])[one, two])
                    foreach (int step in (int[])[1, 2, 13, tokens])
                    {
                        float[] y = problem.Run(pool, step);
                        SimdTesting.SameBits(expected ??= y, y, $"{format} {shape} at {level}, {pool.Threads} threads, {step} at a time");
                    }
            }
        }
    }

    [Fact]
    public void A_float32_cache_gives_the_bits_of_a_whole_text()
    {
        foreach (var (shape, tokens) in Cases())
        {
            Problem problem = new(shape, tokens, KeyValueFormat.Float32);
            float[] whole = new float[problem.Q.Length];
            CausalAttention.Forward(two, problem.Q, problem.K, problem.V, [new Sequence(0, tokens)], shape, whole, new float[tokens * shape.Heads]);
            SimdTesting.SameBits(whole, problem.Run(two, 7), $"{shape}, {tokens} tokens");
        }
    }

    [Fact]
    public void Sequences_side_by_side_give_what_each_gives_alone()
    {
        AttentionShape shape = new(6, 2, 20);
        Problem[] problems = [new(shape, 33, KeyValueFormat.Int8, seed: 1), new(shape, 5, KeyValueFormat.Int8, seed: 4), new(shape, 90, KeyValueFormat.Int8, seed: 7)];
        int[] pasts = [32, 0, 70];
        KeyValueBlock[] caches = [.. problems.Select(problem => problem.Fill())];
        List<float> q = [], wanted = [];
        List<CachedQueries> queries = [];
        for (int i = 0; i < problems.Length; i++)
        {
            queries.Add(new CachedQueries(new Sequence(q.Count / shape.QueryStride, problems[i].Tokens - pasts[i]), pasts[i]));
            q.AddRange(problems[i].Q[(pasts[i] * shape.QueryStride)..]);
            wanted.AddRange(problems[i].Run(one, 1)[(pasts[i] * shape.QueryStride)..]);
        }
        float[] y = new float[q.Count];
        CachedAttention.Forward(two, q.ToArray(), caches, queries.ToArray(), shape, y);
        SimdTesting.SameBits(wanted.ToArray(), y, "three sequences");
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused_and_a_second_pass_allocates_nothing()
    {
        AttentionShape shape = new(4, 2, 8);
        KeyValueBlock cache = new(KeyValueFormat.Float16, 2, 8, 64), other = new(KeyValueFormat.Int8, 2, 8, 64);
        float[] q = new float[3 * 32], y = new float[3 * 32];
        Assert.Throws<ArgumentException>(() => CachedAttention.Forward(one, q, new[] { cache }, new[] { new CachedQueries(new(0, 4), 0) }, shape, y));
        Assert.Throws<ArgumentException>(() => CachedAttention.Forward(one, q, new[] { cache }, new[] { new CachedQueries(new(0, 3), 62) }, shape, y));
        Assert.Throws<ArgumentException>(() => CachedAttention.Forward(one, q, new[] { cache, other }, new[] { new CachedQueries(new(0, 1), 0), new CachedQueries(new(1, 1), 0) }, shape, y));
        Assert.Throws<ArgumentException>(() => CachedAttention.Forward(one, q, new[] { cache }, new[] { new CachedQueries(new(0, 1), 0) }, new(4, 1, 8), y));
        Assert.Throws<ArgumentException>(() => cache.Write(63, new float[32], new float[32]));

        foreach (KeyValueFormat format in Enum.GetValues<KeyValueFormat>())
        {
            Problem problem = new(new(12, 4, 64), 200, format);
            KeyValueBlock[] filled = [problem.Fill()];
            CachedQueries[] queries = [new(new(0, 30), 161)];
            float[] result = new float[30 * problem.Shape.QueryStride];
            Allocations.None(() => CachedAttention.Continue(
                two, problem.Q.AsSpan(0, result.Length), problem.K.AsSpan(0, 30 * problem.Shape.KeyStride), problem.V.AsSpan(0, 30 * problem.Shape.KeyStride), filled, queries, problem.Shape, result));
        }
    }

    [Fact]
    public void Eight_bits_store_the_largest_number_as_127_and_zeros_as_zeros()
    {
        KeyValueBlock cache = new(KeyValueFormat.Int8, 1, 4, 1);
        cache.Write(0, [1, -2, 0.5f, 0], new float[4]);
        unsafe
        {
            Assert.Equal(2f / 127, cache.KeyScales(0)[0]);
            Assert.Equal([64, -127, 32, 0], new sbyte[] { (sbyte)cache.Keys(0)[0], (sbyte)cache.Keys(0)[16], (sbyte)cache.Keys(0)[32], (sbyte)cache.Keys(0)[48] });
            Assert.Equal(0f, cache.ValueScales(0)[0]);
            Assert.Equal(0, cache.Values(0)[0]);
        }
    }

    [Fact]
    public unsafe void Four_bits_round_keys_by_channel_and_values_by_token_once_a_group_of_tokens_is_whole()
    {
        KeyValueBlock cache = new(KeyValueFormat.Int4, 1, 2, 64);
        float[] k = new float[64], v = new float[64];
        for (int token = 0; token < 32; token++)
            (k[2 * token], k[2 * token + 1], v[2 * token], v[2 * token + 1]) = (token == 3 ? 30 : 0, 100 + token % 16, -1, token);
        cache.Write(0, k, v);
        KeyValueGroups groups = cache.Groups!;
        Assert.Equal([2f, 1f, 0f, 100f], new[] { (float)groups.KeyScales(0, 0)[0], (float)groups.KeyScales(0, 0)[1], (float)groups.KeyZeros(0, 0)[0], (float)groups.KeyZeros(0, 0)[1] });
        // Channel 0: token 3 is code 15, its neighbour in the byte is token 11. Channel 1 counts up, token 8 beside token 0.
        Assert.Equal([0, 0x0F, 0x80, 0x91], new[] { cache.Keys(0)[2], cache.Keys(0)[3], cache.Keys(0)[8], cache.Keys(0)[9] });
        Assert.Equal([1f, -1f], new[] { (float)groups.ValueScales(0, 0)[14], (float)groups.ValueZeros(0, 0)[14] });
        Assert.Equal([0, 0x0F], new[] { cache.Values(0)[14 * 8], cache.Values(0)[14 * 8 + 1] });
        Assert.Equal(20, cache.Reachable(20));
        cache.Write(32, new float[2], new float[2]);
        Assert.Equal([0, 32], new[] { cache.Reachable(20), cache.Reachable(32) });
    }

    /// <summary>One sequence, and the definition of attention in double over its keys and values rounded as the cache rounds them.</summary>
    sealed class Problem
    {
        readonly KeyValueFormat format;

        public Problem(AttentionShape shape, int tokens, KeyValueFormat format, int seed = 1)
        {
            (Shape, Tokens, this.format) = (shape, tokens, format);
            Q = [.. SimdTesting.Numbers(tokens * shape.QueryStride, seed).Select(x => 2 * x)];
            K = [.. SimdTesting.Numbers(tokens * shape.KeyStride, seed + 1).Select(x => 2 * x)];
            V = SimdTesting.Numbers(tokens * shape.KeyStride, seed + 2);
        }

        public AttentionShape Shape { get; }

        public int Tokens { get; }

        public float[] Q { get; }

        public float[] K { get; }

        public float[] V { get; }

        public KeyValueBlock Fill()
        {
            KeyValueBlock cache = new(format, Shape.KeyValueHeads, Shape.Width, Tokens);
            cache.Write(0, K, V);
            return cache;
        }

        /// <summary>Outputs of all queries, some at a time, as a text that grows.</summary>
        public float[] Run(WorkerPool pool, int step)
        {
            KeyValueBlock cache = new(format, Shape.KeyValueHeads, Shape.Width, Tokens);
            float[] y = new float[Q.Length];
            for (int at = 0; at < Tokens; at += step)
            {
                int count = Math.Min(step, Tokens - at);
                CachedAttention.Continue(
                    pool, Q.AsSpan(at * Shape.QueryStride, count * Shape.QueryStride), K.AsSpan(at * Shape.KeyStride, count * Shape.KeyStride), V.AsSpan(at * Shape.KeyStride, count * Shape.KeyStride),
                    new[] { cache }, new[] { new CachedQueries(new(0, count), at) }, Shape, y.AsSpan(at * Shape.QueryStride, count * Shape.QueryStride));
            }
            return y;
        }

        public double[] Output()
        {
            double[] k = Stored(K), v = Stored(V), y = new double[Q.Length];
            int width = Shape.Width;
            for (int i = 0; i < Tokens; i++)
            {
                if (format == KeyValueFormat.Int4 && i % 32 == 0)
                    (k, v) = (Grouped(K, i, byToken: false), Grouped(V, i, byToken: true));
                for (int head = 0; head < Shape.Heads; head++)
                {
                    double[] weights = [.. Enumerable.Range(0, i + 1).Select(j => Math.Exp(Enumerable.Range(0, width).Sum(d => Q[At(i, head) + d] * k[KeyAt(j, head) + d]) / Math.Sqrt(width)))];
                    double sum = weights.Sum();
                    for (int j = 0; j <= i; j++)
                        for (int d = 0; d < width; d++)
                            y[At(i, head) + d] += weights[j] / sum * v[KeyAt(j, head) + d];
                }
            }
            return y;
        }

        int At(int token, int head) => token * Shape.QueryStride + head * Shape.Width;

        int KeyAt(int token, int head) => token * Shape.KeyStride + head / Shape.Group * Shape.Width;

        double[] Stored(float[] values) => format switch
        {
            KeyValueFormat.Float32 => SimdTesting.Doubles(values),
            KeyValueFormat.Float16 => [.. values.Select(value => (double)(Half)value)],
            _ => [.. values.Chunk(Shape.Width).SelectMany(Rounded)],
        };

        IEnumerable<double> Rounded(float[] head)
        {
            float scale = head.Max(Math.Abs) / (format == KeyValueFormat.Int8 ? 127 : 7), factor = 1 / scale;
            return head.Select(value => (double)scale * MathF.Round(value * factor));
        }

        // Tokens before the group of query i in 15 steps from the smallest of their group, its own as halves: 32 tokens of a channel, or 32 numbers of a token.
        double[] Grouped(float[] values, int i, bool byToken)
        {
            double[] stored = [.. values.Select(value => (double)(Half)value)];
            int heads = Shape.KeyValueHeads, width = Shape.Width;
            foreach (var group in Enumerable.Range(0, i * heads * width).GroupBy(at => (At: at / width % heads, Token: byToken ? at / (heads * width) : at / (heads * width) / 32, Number: byToken ? at % width / 32 : at % width)))
            {
                double least = group.Min(at => stored[at]), scale = (double)(Half)((group.Max(at => stored[at]) - least) / 15);
                float factor = 1 / (float)scale;
                foreach (int at in group.ToArray())
                    stored[at] = least + scale * Math.Min(15, MathF.Round((float)(stored[at] - least) * factor));
            }
            return stored;
        }
    }
}

using BenchmarkDotNet.Attributes;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>Attention of one generated token against sixteen blocks' caches of 8,192 tokens, together larger than the processor's.</summary>
public class CachedTokenBenchmarks : KernelBenchmark
{
    const int Blocks = 16, Keys = 8192;

    KeyValueBlock[][] blocks = [];
    float[] q = [], y = [];

    [Params(KeyValueFormat.Float32, KeyValueFormat.Float16, KeyValueFormat.Int8)]
    public KeyValueFormat Format { get; set; }

    [ParamsSource(nameof(Sizes))]
    public AttentionSize Size { get; set; } = new(Keys, 1, 1, 1);

    public static IEnumerable<AttentionSize> Sizes => [new(Keys, 24, 8, 64), new(Keys, 16, 16, 64), new(Keys, 32, 8, 128)];

    AttentionShape Shape => new(Size.Heads, Size.KeyValueHeads, Size.Width);

    internal override Limit Limit => Limit.Read;

    internal override double Work(string method) => Blocks * (double)Keys * KeyValueBlock.BytesPerToken(Format, Size.KeyValueHeads, Size.Width);

    private protected override void Prepare()
    {
        blocks = [.. Enumerable.Range(0, Blocks).Select(_ => new[] { CacheBlock.Filled(Format, Shape, Keys) })];
        (q, y) = (Numbers(Shape.QueryStride), new float[Shape.QueryStride]);
    }

    [Benchmark]
    public void OneQuery()
    {
        ReadOnlySpan<CachedQueries> queries = [new(new Sequence(0, 1), Keys - 1)];
        foreach (KeyValueBlock[] block in blocks)
            CachedAttention.Forward(Pool, q, block, queries, Shape, y);
    }
}

/// <summary>Attention of a prompt's 256 tokens behind 2,048 in the cache.</summary>
public class CachedPromptBenchmarks : KernelBenchmark
{
    const int Past = 2048, Queries = 256;

    static readonly AttentionShape Shape = new(24, 8, 64);

    KeyValueBlock[] block = [];
    float[] q = [], y = [];

    [Params(KeyValueFormat.Float32, KeyValueFormat.Float16, KeyValueFormat.Int8)]
    public KeyValueFormat Format { get; set; }

    internal override Limit Limit => Limit.MultiplyAdd;

    internal override double Work(string method) => 4.0 * Shape.QueryStride * Queries * (Past + (Queries + 1) / 2.0);

    private protected override void Prepare() =>
        (block, q, y) = ([CacheBlock.Filled(Format, Shape, Past + Queries)], Numbers(Queries * Shape.QueryStride), new float[Queries * Shape.QueryStride]);

    [Benchmark]
    public void Chunk()
    {
        ReadOnlySpan<CachedQueries> rows = [new(new Sequence(0, Queries), Past)];
        CachedAttention.Forward(Pool, q, block, rows, Shape, y);
    }
}

/// <summary>A cache that is full of random keys and values.</summary>
static class CacheBlock
{
    public static KeyValueBlock Filled(KeyValueFormat format, AttentionShape shape, int keys)
    {
        KeyValueBlock block = new(format, shape.KeyValueHeads, shape.Width, keys);
        Random random = new(1);
        float[] numbers = [.. Enumerable.Range(0, keys * shape.KeyStride).Select(_ => random.NextSingle() - 0.5f)];
        block.Write(0, numbers, numbers);
        return block;
    }
}

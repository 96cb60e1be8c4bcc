using BenchmarkDotNet.Attributes;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>Attention of a training step of 2,048 tokens. Only pairs that the mask allows count as work.</summary>
public class AttentionBenchmarks : KernelBenchmark
{
    const int Tokens = 2048;

    Tensor q = new([1]), k = new([1]), v = new([1]), y = new([1]), logSums = new([1]), dq = new([1]), dk = new([1]), dv = new([1]);
    Sequence[] sequences = [];

    [ParamsSource(nameof(Shapes))]
    public AttentionSize Size { get; set; } = new(1, 1, 1, 1);

    public static IEnumerable<AttentionSize> Shapes => [new(256, 6, 6, 64), new(256, 4, 4, 64), new(256, 8, 2, 32), new(1024, 8, 2, 64)];

    AttentionShape Sizes => new(Size.Heads, Size.KeyValueHeads, Size.Width);

    internal override Limit Limit => Limit.MultiplyAdd;

    internal override double Work(string method) => (method == nameof(Forward) ? 4.0 : 10.0) * Tokens * (Size.Length + 1.0) / 2 * Size.Heads * Size.Width;

    private protected override void Prepare()
    {
        Shape queries = [Tokens, Sizes.QueryStride], keys = [Tokens, Sizes.KeyStride];
        (q, k, v) = (Tensor.From(queries, Numbers(queries.Length)), Tensor.From(keys, Numbers(keys.Length)), Tensor.From(keys, Numbers(keys.Length)));
        (y, logSums, dq, dk, dv) = (new Tensor(queries), new Tensor([Tokens, Size.Heads]), new Tensor(queries), new Tensor(keys), new Tensor(keys));
        sequences = [.. Enumerable.Range(0, Tokens / Size.Length).Select(i => new Sequence(i * Size.Length, Size.Length))];
        Forward();
    }

    [Benchmark]
    public void Forward() => CausalAttention.Forward(Pool, q.Data, k.Data, v.Data, sequences, Sizes, y.Data, logSums.Data);

    [Benchmark]
    public void Backward() => CausalAttention.Backward(
        Pool, q.Data, k.Data, v.Data, y.Data, q.Data, logSums.Data, sequences, Sizes, dq.Data, dk.Data, dv.Data,
        new AttentionModes(Accumulate.Overwrite, Accumulate.Overwrite, Accumulate.Overwrite));
}

/// <summary>Tokens of a sequence, query heads, key and value heads, numbers a head.</summary>
public sealed record AttentionSize(int Length, int Heads, int KeyValueHeads, int Width)
{
    /// <inheritdoc/>
    public override string ToString() => $"T {Length}, {Heads}/{KeyValueHeads} of {Width}";
}

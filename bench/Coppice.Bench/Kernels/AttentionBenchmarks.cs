using BenchmarkDotNet.Attributes;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>Attention of a training step of 2,048 tokens. Only pairs that the mask allows count as work.</summary>
public class AttentionBenchmarks : KernelBenchmark
{
    const int Tokens = 2048;

    float[] q = [], k = [], v = [], y = [], logSums = [], dq = [], dk = [], dv = [];
    Sequence[] sequences = [];

    [ParamsSource(nameof(Shapes))]
    public AttentionSize Size { get; set; } = new(1, 1, 1, 1);

    public static IEnumerable<AttentionSize> Shapes => [new(256, 6, 6, 64), new(256, 4, 4, 64), new(256, 8, 2, 32), new(1024, 8, 2, 64)];

    AttentionShape Shape => new(Size.Heads, Size.KeyValueHeads, Size.Width);

    internal override Limit Limit => Limit.MultiplyAdd;

    internal override double Work(string method) => (method == nameof(Forward) ? 4.0 : 10.0) * Tokens * (Size.Length + 1.0) / 2 * Size.Heads * Size.Width;

    private protected override void Prepare()
    {
        (q, k, v) = (Numbers(Tokens * Shape.QueryStride), Numbers(Tokens * Shape.KeyStride), Numbers(Tokens * Shape.KeyStride));
        (y, logSums, dq, dk, dv) = (new float[q.Length], new float[Tokens * Size.Heads], new float[q.Length], new float[k.Length], new float[v.Length]);
        sequences = [.. Enumerable.Range(0, Tokens / Size.Length).Select(i => new Sequence(i * Size.Length, Size.Length))];
        Forward();
    }

    [Benchmark]
    public void Forward() => CausalAttention.Forward(Pool, q, k, v, sequences, Shape, y, logSums);

    [Benchmark]
    public void Backward() => CausalAttention.Backward(
        Pool, q, k, v, y, q, logSums, sequences, Shape, dq, dk, dv, new AttentionModes(Accumulate.Overwrite, Accumulate.Overwrite, Accumulate.Overwrite));
}

/// <summary>Tokens of a sequence, query heads, key and value heads, numbers a head.</summary>
public sealed record AttentionSize(int Length, int Heads, int KeyValueHeads, int Width)
{
    /// <inheritdoc/>
    public override string ToString() => $"T {Length}, {Heads}/{KeyValueHeads} of {Width}";
}

using Coppice.Evaluation;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench;

/// <summary>Attention of one generated token against caches larger than the processor's, against reading as many bytes; and of a prompt's chunk against the FMA peak.</summary>
static class CacheBench
{
    public static void Run(WorkerPool pool)
    {
        AttentionShape grouped = new(24, 8, 64), single = new(16, 16, 64), wide = new(32, 8, 128);
        Comparison.Header(pool.Threads, "one query x cache, GB/s", "read");
        MachineProbe probe = new(pool);
        foreach (AttentionShape shape in new[] { grouped, single, wide })
            foreach (KeyValueFormat format in Enum.GetValues<KeyValueFormat>())
                Generation(pool, shape, format, keys: 8192, probe);
        Comparison.Header(pool.Threads, "256 queries behind 2048, GFLOP/s", "peak");
        foreach (KeyValueFormat format in Enum.GetValues<KeyValueFormat>())
            Prompt(pool, grouped, format, past: 2048, queries: 256);
    }

    static void Generation(WorkerPool pool, AttentionShape shape, KeyValueFormat format, int keys, MachineProbe probe)
    {
        // Several blocks in turn, as a model has, so that none stays in the processor's cache.
        KeyValueBlock[][] blocks = [.. Enumerable.Range(0, 16).Select(_ => new[] { Filled(shape, format, keys) })];
        CachedQueries[] queries = [new(new Sequence(0, 1), keys - 1)];
        float[] q = ProductBench.Numbers(shape.QueryStride), y = new float[q.Length];
        double bytes = blocks.Length * (double)keys * KeyValueBlock.BytesPerToken(format, shape.KeyValueHeads, shape.Width);
        Comparison.Report($"{format}, {keys} keys, {shape.Heads}/{shape.KeyValueHeads} of {shape.Width}",
            () => bytes / 1e9 / Clock.Once(() =>
            {
                foreach (KeyValueBlock[] block in blocks)
                    CachedAttention.Forward(pool, q, block, queries, shape, y);
            }),
            () => Probes.ReadGigabytes(probe));
    }

    static void Prompt(WorkerPool pool, AttentionShape shape, KeyValueFormat format, int past, int queries)
    {
        KeyValueBlock[] block = [Filled(shape, format, past + queries)];
        CachedQueries[] rows = [new(new Sequence(0, queries), past)];
        float[] q = ProductBench.Numbers(queries * shape.QueryStride), y = new float[q.Length];
        double work = 4.0 * shape.QueryStride * queries * (past + (queries + 1) / 2.0);
        Comparison.Report($"{format}, {shape.Heads}/{shape.KeyValueHeads} of {shape.Width}",
            () => Comparison.Rate(work, 5e7, () => CachedAttention.Forward(pool, q, block, rows, shape, y)), () => Probes.PeakGigaflops(pool));
    }

    static KeyValueBlock Filled(AttentionShape shape, KeyValueFormat format, int keys)
    {
        KeyValueBlock block = new(format, shape.KeyValueHeads, shape.Width, keys);
        float[] numbers = ProductBench.Numbers(keys * shape.KeyStride);
        block.Write(0, numbers, numbers);
        return block;
    }
}

using BenchmarkDotNet.Attributes;
using Coppice.Tensors;

namespace Coppice.Bench.Kernels;

/// <summary>What BenchmarkDotNet times one kernel at a time with: threads, and how much work a call is. The machine's limit is measured before and after each of them.</summary>
public abstract class KernelBenchmark
{
    /// <summary>Threads of the pool.</summary>
    [ParamsSource(nameof(ThreadCounts))]
    public int Threads { get; set; } = 1;

    /// <summary>One to as many as there are processors.</summary>
    public static IEnumerable<int> ThreadCounts => Enumerable.Range(1, Environment.ProcessorCount);

    /// <summary>What bounds the kernel.</summary>
    internal abstract Limit Limit { get; }

    /// <summary>Operations or bytes, as <see cref="Limit"/> counts, of one call of a method.</summary>
    internal abstract double Work(string method);

    private protected Machine Machine => Machine.With(Threads);

    private protected WorkerPool Pool => Machine.Pool;

    private protected abstract void Prepare();

    [GlobalSetup]
    public void Setup()
    {
        Prepare();
        Machine.Measure(Limit);
    }

    [GlobalCleanup]
    public void Cleanup() => Machine.Measure(Limit);

    private protected static float[] Numbers(int count)
    {
        Random random = new(1);
        float[] numbers = GC.AllocateUninitializedArray<float>(count, pinned: true);
        foreach (ref float number in numbers.AsSpan())
            number = random.NextSingle() - 0.5f;
        return numbers;
    }
}

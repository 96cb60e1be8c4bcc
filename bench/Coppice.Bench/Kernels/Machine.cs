using Coppice.Evaluation;
using Coppice.Tensors;

namespace Coppice.Bench.Kernels;

/// <summary>What a kernel cannot be faster than.</summary>
internal enum Limit
{
    /// <summary>Multiply-adds in registers; work is counted in floating-point operations.</summary>
    MultiplyAdd,

    /// <summary>Reading memory in order; work is counted in bytes.</summary>
    Read,
}

/// <summary>A number of threads, and what the machine was found to do with them between one benchmark and the next.</summary>
internal sealed class Machine
{
    static readonly Dictionary<int, Machine> Known = [];

    readonly MachineProbe probe;
    readonly Dictionary<Limit, List<double>> found = new() { [Limit.MultiplyAdd] = [], [Limit.Read] = [] };

    Machine(int threads)
    {
        Pool = new WorkerPool(threads);
        probe = new MachineProbe(Pool);
    }

    public static Machine With(int threads) => Known.TryGetValue(threads, out Machine? machine) ? machine : Known[threads] = new Machine(threads);

    public WorkerPool Pool { get; }

    /// <summary>The median of what was measured so far, a second; 0 before.</summary>
    public double this[Limit limit] => found[limit] is { Count: > 0 } rates ? Clock.Median(rates) : 0;

    public void Measure(Limit limit) => found[limit].Add(Enumerable.Range(0, 5).Max(_ => limit == Limit.Read ? probe.ReadBytesPerSecond() : probe.PeakFlops()));
}

using Coppice.Evaluation;

namespace Coppice.Bench;

/// <summary>The most physical memory that work takes beyond what the process held before it.</summary>
public static class PeakMemory
{
    // Linux: 5 has VmHWM begin again from what is held now (proc(5)).
    const string Reset = "/proc/self/clear_refs";

    /// <summary>Does the work after everything that nobody holds any more was given back to the system.</summary>
    public static (T Result, long Bytes) Of<T>(Func<T> work)
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        File.WriteAllText(Reset, "5");
        long before = MemoryProbe.PeakBytes();
        T result = work();
        return (result, MemoryProbe.PeakBytes() - before);
    }
}

using Coppice.Evaluation;
using Coppice.Tensors;

namespace Coppice.Bench;

/// <summary>The machine's ceilings by this program's clock.</summary>
static class Probes
{
    /// <summary>GFLOP/s of independent fused multiply-adds in registers, on every thread of the pool.</summary>
    public static double PeakGigaflops(WorkerPool pool)
    {
        double operations = 0;
        double seconds = Clock.Best(3, () => operations = MachineProbe.MultiplyAdd(pool));
        return operations / seconds / 1e9;
    }
}

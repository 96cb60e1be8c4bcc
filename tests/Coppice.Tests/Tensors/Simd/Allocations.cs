namespace Coppice.Tests.Tensors.Simd;

/// <summary>Asserts that work which has run before allocates nothing, on any thread.</summary>
static class Allocations
{
    public static void None(Action work)
    {
        for (int i = 0; i < 3; i++)
            work();

        // The runtime's own threads (tiering, the test host) allocate now and then: a clean run among several proves the work clean.
        long least = long.MaxValue, onThisThread = 0;
        for (int attempt = 0; attempt < 20 && least > 0; attempt++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true), here = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10; i++)
                work();
            onThisThread = GC.GetAllocatedBytesForCurrentThread() - here;
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        Assert.Equal(0, onThisThread);
        Assert.Equal(0, least);
    }
}

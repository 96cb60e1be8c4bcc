namespace Coppice.Server.Rounds;

/// <summary>Gives back what an update or a slice left behind: where a machine has memory the collector is in no hurry, and a server runs beside others.</summary>
static class Garbage
{
    const long Worthwhile = 1 << 20;

    /// <summary>Collects after work on so many bytes, unless they are few.</summary>
    public static void Collect(long bytes)
    {
        if (bytes >= Worthwhile)
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
    }
}

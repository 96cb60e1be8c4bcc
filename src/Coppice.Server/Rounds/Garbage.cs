namespace Coppice.Server.Rounds;

/// <summary>Gives back what an update or a slice left behind, megabytes each: where a machine has memory the collector is in no hurry, and a server runs beside others.</summary>
static class Garbage
{
    public static void Collect() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
}

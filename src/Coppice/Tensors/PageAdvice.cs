using System.Runtime.InteropServices;

namespace Coppice.Tensors;

/// <summary>What the system is told about memory, where it listens (Linux). Where it does not, nothing is lost but time: contents never depend on it.</summary>
static unsafe partial class PageAdvice
{
    const int HugePages = 14, PopulateWrite = 23, Succeeded = 0;
    const nint LargePage = 2 << 20;

    /// <summary>Asks for pages of 2 MB, so that a first touch costs once where it would cost 512 times, and a product streams with fewer look-ups of addresses.</summary>
    public static void Enlarge(void* start, long bytes)
    {
        // Neighbours that share the first or the last large page only gain.
        nint first = (nint)start & -LargePage, last = ((nint)start + (nint)bytes + LargePage - 1) & -LargePage;
        Advise(first, last, HugePages);
    }

    /// <summary>Asks for all pages at once, for what is about to be filled.</summary>
    public static void Populate(void* start, long bytes)
    {
        nint page = Environment.SystemPageSize;
        Advise((nint)start & -page, ((nint)start + (nint)bytes + page - 1) & -page, PopulateWrite);
    }

    // A kernel that does not know the advice, or has no memory left, says so; the pages then come as they are touched.
    static bool Advise(nint first, nint last, int advice) => OperatingSystem.IsLinux() && madvise(first, last - first, advice) == Succeeded;

    [LibraryImport("libc")]
    private static partial int madvise(nint start, nint length, int advice);
}

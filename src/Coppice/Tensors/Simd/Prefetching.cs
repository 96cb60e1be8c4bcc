using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>Asks for memory that is read soon. The processor guesses that by itself only where reading is in order.</summary>
internal static unsafe class Prefetching
{
    // Bytes before they are read, more than the largest block has, as some are read from end to end several times; what lies past the end of a matrix is asked for in vain.
    const int Ahead = 16384, Line = 64;

    /// <summary>The lines of <paramref name="bytes"/> bytes, some kilobytes behind <paramref name="from"/>, by fours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run(byte* from, int bytes)
    {
        if (!Sse.IsSupported)
            return;
        for (byte* line = from + Ahead, end = line + bytes; line < end; line += 4 * Line)
        {
            Sse.Prefetch0(line);
            Sse.Prefetch0(line + Line);
            Sse.Prefetch0(line + 2 * Line);
            Sse.Prefetch0(line + 3 * Line);
        }
    }
}

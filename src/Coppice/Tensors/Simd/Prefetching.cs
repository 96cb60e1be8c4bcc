using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>Asks for memory that is read soon. The processor guesses that by itself only where reading is in order.</summary>
internal static unsafe class Prefetching
{
    // Bytes before they are read; what lies past the end of a matrix is asked for in vain.
    const int Ahead = 8192, Line = 64;

    /// <summary>The lines of <paramref name="bytes"/> bytes, some kilobytes behind <paramref name="from"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run(byte* from, int bytes)
    {
        if (Sse.IsSupported)
            for (byte* line = from + Ahead; line < from + Ahead + bytes; line += Line)
                Sse.Prefetch0(line);
    }
}

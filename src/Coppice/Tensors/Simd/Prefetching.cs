using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>Asks for memory that is read soon. The processor guesses that by itself only where reading is in order.</summary>
internal static unsafe class Prefetching
{
    /// <summary>Bytes before they are read, where they are read in order. What lies past the end of a matrix is asked for in vain.</summary>
    public const int Ahead = 8192;

    const int Line = 64;

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

    /// <summary>The piece <paramref name="part"/> of <paramref name="parts"/> of the lines of <paramref name="bytes"/> bytes, <paramref name="ahead"/> behind <paramref name="from"/>: few at a time, as
    /// the processor holds few requests and waits where there are more. All but <paramref name="from"/> and <paramref name="part"/> are constants to the compiler.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Piece(byte* from, int part, int parts, int bytes, int ahead)
    {
        if (!Sse.IsSupported)
            return;
        int lines = (bytes + parts * Line - 1) / (parts * Line);
        byte* line = from + ahead + part * lines * Line;
        Sse.Prefetch0(line);
        if (lines > 1)
            Sse.Prefetch0(line + Line);
        if (lines > 2)
            Sse.Prefetch0(line + 2 * Line);
        if (lines > 3)
            Sse.Prefetch0(line + 3 * Line);
        for (int more = 4; more < lines; more++)
            Sse.Prefetch0(line + more * Line);
    }
}

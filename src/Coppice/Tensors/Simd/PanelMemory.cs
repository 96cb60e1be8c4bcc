using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Memory for packed panels, zeros at first: matrices of a model lie one behind another in a few large pieces, so that large pages hold them.</summary>
/// <remarks>A piece is freed by the collector once none of its matrices is held any more.</remarks>
internal static unsafe class PanelMemory
{
    const int Alignment = 64, PieceBytes = 64 << 20, Small = 64 << 10;

    static readonly Lock gate = new();
    static readonly WeakReference<byte[]> last = new(null!);
    static long used;

    [ThreadStatic] static PanelSlot? slot;

    /// <summary>Does what takes room on this thread, and has the room come from a slot.</summary>
    public static T Into<T>(PanelSlot into, Func<T> work)
    {
        slot = into;
        try
        {
            return work();
        }
        finally
        {
            slot = null;
        }
    }

    /// <summary>Room for <paramref name="bytes"/>, on a cache line's boundary, valid for as long as <paramref name="owner"/> is held.</summary>
    public static byte* Take(int bytes, out byte[] owner)
    {
        if (slot is not null)
            return Start(owner = slot.Take(bytes + Alignment));
        if (bytes < Small)
            return Start(owner = GC.AllocateArray<byte>(bytes + Alignment, pinned: true));
        lock (gate)
        {
            if (!last.TryGetTarget(out byte[]? piece) || piece.Length - Alignment - used < bytes)
            {
                piece = GC.AllocateArray<byte>(Math.Max(PieceBytes, bytes) + Alignment, pinned: true);
                PageAdvice.Enlarge(Start(piece), piece.Length - Alignment);
                last.SetTarget(piece);
                used = 0;
            }
            owner = piece;
            byte* start = Start(piece) + used;
            used += ((long)bytes + Alignment - 1) & -Alignment;
            PageAdvice.Populate(start, bytes);
            return start;
        }
    }

    static byte* Start(byte[] memory) => (byte*)(((nint)Unsafe.AsPointer(ref memory[0]) + Alignment - 1) & -Alignment);
}

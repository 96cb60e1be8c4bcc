using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Where four vectors of outputs lie, side by side from a multiple of four vectors on: in one panel, or in several where panels are narrow. All but the
/// last panel's end and the place in a wide panel are constants to the compiler.
/// </summary>
internal static unsafe class FourVectors<TDecoder, TL, TV> where TDecoder : struct, IPanelDecoder where TL : struct, ILanes<TV> where TV : struct
{
    /// <summary>Vectors.</summary>
    public const int Count = 4;

    /// <summary>The lane of a vector in its panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Lane(int vector, int output) => (Count * TL.Count >= TDecoder.Lanes ? 0 : output % TDecoder.Lanes) + vector * TL.Count % TDecoder.Lanes;

    /// <summary>How many bytes the panel of a vector lies behind that of the first; a vector past <paramref name="outputs"/> repeats the first panel and is dropped.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Behind(int vector, int outputs, int panelBytes) =>
        vector * TL.Count < TDecoder.Lanes || vector * TL.Count >= outputs ? 0 : vector * TL.Count / TDecoder.Lanes * (nint)panelBytes;

    /// <summary>Asks for what follows a group of the block at <paramref name="block"/>, and of those that lie <paramref name="d1"/>, <paramref name="d2"/> and <paramref name="d3"/> behind it where those are other panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* block, int group, int lane, nint d1, nint d2, nint d3)
    {
        int slice = TDecoder.BlockBytes / (TDecoder.BlockSteps / TDecoder.GroupSteps);
        byte* from = block + group * slice;
        if (lane == 0)
            Prefetching.Run(from, slice);
        if (TL.Count >= TDecoder.Lanes)
            Prefetching.Run(from + d1, slice);
        if (2 * TL.Count >= TDecoder.Lanes)
            Prefetching.Run(from + d2, slice);
        if (TL.Count >= TDecoder.Lanes)
            Prefetching.Run(from + d3, slice);
    }
}

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>Puts kept halves to their lanes: number i goes where the i-th set bit of a mask stands, zeros elsewhere.</summary>
internal static unsafe class BitmaskExpansion
{
    // For each byte of a mask the order that spreads eight halves: byte 2 i and 2 i + 1 of the result, 0xff for a zero.
    static readonly byte[] orders = Orders();

    /// <summary>Spreads one step's numbers over 32 lanes at <paramref name="to"/>, which is aligned to 64 bytes, and returns where the next step's begin; up to 64 bytes are read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort* Expand<TL, TV>(uint mask, ushort* kept, ushort* to) where TL : struct, ILanes<TV> where TV : struct
    {
        if (TL.Count == 1)
            Scalar(mask, kept, to);
        else if (TL.Count == 16 && Avx512Vbmi2.IsSupported)
            Expand512(mask, kept, to);
        else
            Expand128(mask, kept, to);
        return kept + BitOperations.PopCount(mask);
    }

    static void Scalar(uint mask, ushort* kept, ushort* to)
    {
        for (int lane = 0; lane < BitmaskPanels.Lanes; lane++, mask >>= 1)
            to[lane] = (mask & 1) == 0 ? (ushort)0 : *kept++;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Expand512(uint mask, ushort* kept, ushort* to)
    {
        const ulong Low = 0x0100_0100_0100_0100, High = 0x0302_0302_0302_0302;

        // Each 16-bit lane gets the half of the mask that its bit lies in: bytes 0 and 1 in the lower 256 bits, 2 and 3 in the upper.
        Vector512<byte> place = Vector512.Create(Low, Low, Low, Low, High, High, High, High).AsByte();
        Vector512<ushort> bit = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768).AsUInt16();
        Vector512<ushort> halves = Avx512BW.Shuffle(Vector512.Create(mask).AsByte(), place).AsUInt16();
        Vector512<ushort> isSet = Avx512BW.CompareNotEqual(halves & bit, Vector512<ushort>.Zero);
        Avx512Vbmi2.Expand(Vector512<ushort>.Zero, isSet, Vector512.Load(kept)).Store(to);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Expand128(uint mask, ushort* kept, ushort* to)
    {
        ref byte order = ref orders[0];
        for (int i = 0; i < 4; i++, mask >>= 8)
        {
            uint bits = mask & 255;
            Vector128.Shuffle(Vector128.Load((byte*)kept), Vector128.LoadUnsafe(ref order, 16 * bits)).Store((byte*)(to + 8 * i));
            kept += BitOperations.PopCount(bits);
        }
    }

    static byte[] Orders()
    {
        byte[] orders = GC.AllocateArray<byte>(256 * 16, pinned: true);
        for (int mask = 0; mask < 256; mask++)
            for (int lane = 0, next = 0; lane < 8; lane++)
            {
                bool isKept = (mask >> lane & 1) != 0;
                (orders[16 * mask + 2 * lane], orders[16 * mask + 2 * lane + 1]) = isKept ? ((byte)(2 * next), (byte)(2 * next + 1)) : ((byte)0xff, (byte)0xff);
                next += isKept ? 1 : 0;
            }
        return orders;
    }
}

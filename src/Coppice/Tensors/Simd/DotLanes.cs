using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Products of codes, signed bytes, with activations that are raised by 128 and so unsigned, four a lane: what <see cref="IntegerTile"/> is written in. Sums start from
/// minus what 128s would give, and so end as the products with the activations themselves. All of it is exact.
/// <list type="bullet">
/// <item>Small codes: an instruction sums two products in 16 bits, 2 * 255 * 32 at most. Sums of these wrap around, and what is left in the end, 8 products of 127 * 32 or
/// 16 of 127 * 15, fits.</item>
/// <item>Others: products, 255 * 128 at most, are summed in 32 bits, by VNNI where .NET offers it.</item>
/// </list>
/// </summary>
/// <typeparam name="TI">A vector of four bytes, or of sums, a lane.</typeparam>
/// <typeparam name="TX">Four activations in every lane.</typeparam>
/// <typeparam name="TV">A vector of as many floats.</typeparam>
internal unsafe interface IDotLanes<TI, TX, TV> where TI : struct where TX : struct where TV : struct
{
    static abstract TI Load(void* source);
    static abstract void Store(TI value, void* destination);

    /// <summary>The same four bytes in every lane.</summary>
    static abstract TX Broadcast(void* source);

    /// <summary>sum plus the four products of a lane, modulo 2^16 in either half of it or modulo 2^32.</summary>
    static abstract TI Dot(TI sum, TX x, TI codes);

    /// <summary>What <see cref="Dot"/> added up, with the other sign.</summary>
    static abstract TI Negate(TI sum);

    /// <summary>What <see cref="Dot"/> added up, as floats, rounded to nearest.</summary>
    static abstract TV ToFloat(TI sum);
}

/// <summary>How many bits sums of products take, a constant to the compiler.</summary>
internal interface ISumWidth
{
    static abstract bool Is32Bit { get; }
}

/// <summary>For small codes.</summary>
internal readonly struct In16Bits : ISumWidth
{
    public static bool Is32Bit => false;
}

/// <summary>For all codes.</summary>
internal readonly struct In32Bits : ISumWidth
{
    public static bool Is32Bit => true;
}

/// <summary>Sixteen lanes in 512 bits; codes that are not small are widened to 16 bits.</summary>
internal readonly unsafe struct DotLanes512<TS> : IDotLanes<Vector512<int>, Vector512<int>, Vector512<float>> where TS : struct, ISumWidth
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Load(void* source) => Vector512.Load((int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector512<int> value, void* destination) => value.Store((int*)destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Broadcast(void* source) => Vector512.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Dot(Vector512<int> sum, Vector512<int> x, Vector512<int> codes) => TS.Is32Bit
        ? sum + Avx512BW.MultiplyAddAdjacent((x & Vector512.Create(0x00ff00ff)).AsInt16(), codes.AsInt16() << 8 >> 8) + Avx512BW.MultiplyAddAdjacent(x.AsInt16() >>> 8, codes.AsInt16() >> 8)
        : (sum.AsInt16() + Avx512BW.MultiplyAddAdjacent(x.AsByte(), codes.AsSByte())).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Negate(Vector512<int> sum) => TS.Is32Bit ? -sum : (-sum.AsInt16()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ToFloat(Vector512<int> sum) => Vector512.ConvertToSingle(TS.Is32Bit ? sum : Avx512BW.MultiplyAddAdjacent(sum.AsInt16(), Vector512<short>.One));
}

/// <summary>Two times eight lanes.</summary>
internal readonly struct Halves(Vector256<int> low, Vector256<int> high)
{
    public readonly Vector256<int> Low = low, High = high;
}

/// <summary>Sixteen lanes for codes that are not small where .NET offers VNNI, which it does at 256 bits: halves that join where floats begin.</summary>
internal readonly unsafe struct VnniHalves : IDotLanes<Halves, Vector256<int>, Vector512<float>>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Halves Load(void* source) => new(Vector256.Load((int*)source), Vector256.Load((int*)source + 8));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Halves value, void* destination)
    {
        value.Low.Store((int*)destination);
        value.High.Store((int*)destination + 8);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Broadcast(void* source) => Vector256.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Halves Dot(Halves sum, Vector256<int> x, Halves codes) =>
        new(AvxVnni.MultiplyWideningAndAdd(sum.Low, x.AsByte(), codes.Low.AsSByte()), AvxVnni.MultiplyWideningAndAdd(sum.High, x.AsByte(), codes.High.AsSByte()));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Halves Negate(Halves sum) => new(-sum.Low, -sum.High);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> ToFloat(Halves sum) => Vector512.ConvertToSingle(sum.Low.ToVector512Unsafe().WithUpper(sum.High));
}

/// <summary>Eight lanes in 256 bits; VNNI sums all codes in 32 bits.</summary>
internal readonly unsafe struct DotLanes256<TS> : IDotLanes<Vector256<int>, Vector256<int>, Vector256<float>> where TS : struct, ISumWidth
{
    static bool Is32Bit => TS.Is32Bit || AvxVnni.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Load(void* source) => Vector256.Load((int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector256<int> value, void* destination) => value.Store((int*)destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Broadcast(void* source) => Vector256.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<int> x, Vector256<int> codes) =>
        AvxVnni.IsSupported ? AvxVnni.MultiplyWideningAndAdd(sum, x.AsByte(), codes.AsSByte())
        : TS.Is32Bit ? sum + Avx2.MultiplyAddAdjacent((x & Vector256.Create(0x00ff00ff)).AsInt16(), codes.AsInt16() << 8 >> 8) + Avx2.MultiplyAddAdjacent(x.AsInt16() >>> 8, codes.AsInt16() >> 8)
        : (sum.AsInt16() + Avx2.MultiplyAddAdjacent(x.AsByte(), codes.AsSByte())).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Negate(Vector256<int> sum) => Is32Bit ? -sum : (-sum.AsInt16()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ToFloat(Vector256<int> sum) => Vector256.ConvertToSingle(Is32Bit ? sum : Avx2.MultiplyAddAdjacent(sum.AsInt16(), Vector256<short>.One));
}

/// <summary>Four lanes in 128 bits, on any processor with vectors: no product of a byte and a code has more than 16 bits.</summary>
internal readonly unsafe struct DotLanes128<TS> : IDotLanes<Vector128<int>, Vector128<int>, Vector128<float>> where TS : struct, ISumWidth
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Load(void* source) => Vector128.Load((int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector128<int> value, void* destination) => value.Store((int*)destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Broadcast(void* source) => Vector128.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<int> sum, Vector128<int> x, Vector128<int> codes)
    {
        if (!TS.Is32Bit && Ssse3.IsSupported)
            return (sum.AsInt16() + Ssse3.MultiplyAddAdjacent(x.AsByte(), codes.AsSByte())).AsInt32();
        Vector128<short> even = (x & Vector128.Create(0x00ff00ff)).AsInt16(), odd = x.AsInt16() >>> 8, evenCodes = codes.AsInt16() << 8 >> 8, oddCodes = codes.AsInt16() >> 8;
        if (!TS.Is32Bit)
            return (sum.AsInt16() + even * evenCodes + odd * oddCodes).AsInt32();
        if (Sse2.IsSupported)
            return sum + Sse2.MultiplyAddAdjacent(even, evenCodes) + Sse2.MultiplyAddAdjacent(odd, oddCodes);
        return sum + InPairs(even * evenCodes) + InPairs(odd * oddCodes);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Negate(Vector128<int> sum) => TS.Is32Bit ? -sum : (-sum.AsInt16()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> ToFloat(Vector128<int> sum) => Vector128.ConvertToSingle(TS.Is32Bit ? sum : InPairs(sum.AsInt16()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)] static Vector128<int> InPairs(Vector128<short> value) => (value.AsInt32() << 16 >> 16) + (value.AsInt32() >> 16);
}

/// <summary>One lane: the scalar twin.</summary>
internal readonly unsafe struct DotLanes1 : IDotLanes<int, int, float>
{
    public static int Load(void* source) => *(int*)source;
    public static void Store(int value, void* destination) => *(int*)destination = value;
    public static int Broadcast(void* source) => *(int*)source;
    public static int Dot(int sum, int x, int codes)
    {
        for (int i = 0; i < 32; i += 8)
            sum += (byte)(x >> i) * (sbyte)(codes >> i);
        return sum;
    }
    public static int Negate(int sum) => -sum;
    public static float ToFloat(int sum) => sum;
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Weights.Blocks;

/// <summary>What rounding a block needs of a vector of floats; written once, compiled for each width, the same bits at all of them.</summary>
internal unsafe interface IBlockLanes<TV> where TV : struct
{
    /// <summary>Floats in a <typeparamref name="TV"/>; 32 is a multiple.</summary>
    static abstract int Count { get; }

    /// <summary>The bits of |x|, which are in the order of the magnitudes; those of infinities and NaNs come last.</summary>
    static abstract TV Magnitudes(float* source);

    /// <summary>The larger magnitudes of two, as bits.</summary>
    static abstract TV Max(TV a, TV b);

    /// <summary>The largest magnitude, as bits.</summary>
    static abstract int Max(TV a);

    /// <summary>Bit i is set where magnitude i is the one given.</summary>
    static abstract uint Equal(TV magnitudes, int magnitude);

    /// <summary>Stores <see cref="Count"/> products, at most 127.5 in magnitude, rounded to whole numbers, halves away from zero.</summary>
    static abstract void StoreRounded(float* source, float factor, sbyte* destination);

    /// <summary>Stores <see cref="Count"/> bytes of min(15, (int)(x f + 8.5)), of <paramref name="source"/> in the low nibbles and of what is 16 floats further in the high ones.</summary>
    static abstract void StoreNibbles(float* source, float factor, byte* destination);
}

/// <summary>Sixteen floats in 512 bits.</summary>
internal unsafe readonly struct BlockLanes512 : IBlockLanes<Vector512<int>>
{
    public static int Count => 16;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Magnitudes(float* source) => Vector512.Load((int*)source) & Vector512.Create(int.MaxValue);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Max(Vector512<int> a, Vector512<int> b) => Vector512.Max(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Max(Vector512<int> a) => BlockLanes256.Max(Vector256.Max(a.GetLower(), a.GetUpper()));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Equal(Vector512<int> magnitudes, int magnitude) => (uint)Vector512.Equals(magnitudes, Vector512.Create(magnitude)).ExtractMostSignificantBits();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreRounded(float* source, float factor, sbyte* destination)
    {
        Vector512<float> scaled = Vector512.Load(source) * Vector512.Create(factor);
        // The float before 0.5: added to 0.5 - 2^-25 it stays below 1, and every tie is carried past the next whole number.
        Vector512<float> half = Vector512.Create(0.49999997f) | scaled & Vector512.Create(-0f);
        Avx512F.ConvertToVector128SByte(Vector512.ConvertToInt32Native(scaled + half)).Store(destination);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreNibbles(float* source, float factor, byte* destination) =>
        Avx512F.ConvertToVector128Byte(Codes(source, factor) | Codes(source + 16, factor) << 4).Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<int> Codes(float* source, float factor) =>
        Vector512.Min(Vector512.ConvertToInt32Native(Vector512.Load(source) * Vector512.Create(factor) + Vector512.Create(8.5f)), Vector512.Create(15));
}

/// <summary>Eight floats in 256 bits.</summary>
internal unsafe readonly struct BlockLanes256 : IBlockLanes<Vector256<int>>
{
    public static int Count => 8;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Magnitudes(float* source) => Vector256.Load((int*)source) & Vector256.Create(int.MaxValue);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Max(Vector256<int> a, Vector256<int> b) => Vector256.Max(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Max(Vector256<int> a) => BlockLanes128.Max(Vector128.Max(a.GetLower(), a.GetUpper()));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Equal(Vector256<int> magnitudes, int magnitude) => Vector256.Equals(magnitudes, Vector256.Create(magnitude)).ExtractMostSignificantBits();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreRounded(float* source, float factor, sbyte* destination)
    {
        Vector256<float> scaled = Vector256.Load(source) * Vector256.Create(factor);
        Vector256<float> half = Vector256.Create(0.49999997f) | scaled & Vector256.Create(-0f);
        *(long*)destination = Bytes(Vector256.ConvertToInt32Native(scaled + half));
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreNibbles(float* source, float factor, byte* destination) =>
        *(long*)destination = Bytes(Codes(source, factor) | Codes(source + 16, factor) << 4);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> Codes(float* source, float factor) =>
        Vector256.Min(Vector256.ConvertToInt32Native(Vector256.Load(source) * Vector256.Create(factor) + Vector256.Create(8.5f)), Vector256.Create(15));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static long Bytes(Vector256<int> codes)
    {
        Vector128<short> words = Vector128.Narrow(codes.GetLower(), codes.GetUpper());
        return Vector128.Narrow(words, words).AsInt64().ToScalar();
    }
}

/// <summary>Four floats in 128 bits.</summary>
internal unsafe readonly struct BlockLanes128 : IBlockLanes<Vector128<int>>
{
    public static int Count => 4;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Magnitudes(float* source) => Vector128.Load((int*)source) & Vector128.Create(int.MaxValue);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Max(Vector128<int> a, Vector128<int> b) => Vector128.Max(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Max(Vector128<int> a)
    {
        a = Vector128.Max(a, Vector128.Shuffle(a, Vector128.Create(2, 3, 0, 1)));
        return Vector128.Max(a, Vector128.Shuffle(a, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Equal(Vector128<int> magnitudes, int magnitude) => Vector128.Equals(magnitudes, Vector128.Create(magnitude)).ExtractMostSignificantBits();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreRounded(float* source, float factor, sbyte* destination)
    {
        Vector128<float> scaled = Vector128.Load(source) * Vector128.Create(factor);
        Vector128<float> half = Vector128.Create(0.49999997f) | scaled & Vector128.Create(-0f);
        *(int*)destination = Bytes(Vector128.ConvertToInt32Native(scaled + half));
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreNibbles(float* source, float factor, byte* destination) =>
        *(int*)destination = Bytes(Codes(source, factor) | Codes(source + 16, factor) << 4);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<int> Codes(float* source, float factor) =>
        Vector128.Min(Vector128.ConvertToInt32Native(Vector128.Load(source) * Vector128.Create(factor) + Vector128.Create(8.5f)), Vector128.Create(15));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static int Bytes(Vector128<int> codes)
    {
        Vector128<short> words = Vector128.Narrow(codes, codes);
        return Vector128.Narrow(words, words).AsInt32().ToScalar();
    }
}

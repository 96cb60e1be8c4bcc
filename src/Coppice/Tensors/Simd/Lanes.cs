using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>
/// A row of floats that are computed side by side. A kernel is written once over <typeparamref name="TV"/> and compiled for each width;
/// every operation rounds each float on its own, so all widths give the same bits.
/// </summary>
internal unsafe interface ILanes<TV> where TV : struct
{
    /// <summary>Floats in a <typeparamref name="TV"/>.</summary>
    static abstract int Count { get; }

    static abstract TV Load(float* source);
    static abstract void Store(TV value, float* destination);

    /// <summary>IEEE half precision numbers, exact.</summary>
    static abstract TV LoadHalf(ushort* source);

    /// <summary>IEEE half precision numbers, exact where finite; an exponent of ones counts as any other, so that infinity is 65536.</summary>
    static abstract TV LoadFiniteHalf(ushort* source);

    /// <summary>bfloat16 numbers, exact.</summary>
    static abstract TV LoadBFloat16(ushort* source);

    /// <summary>As bfloat16 numbers, rounded to nearest, ties to even; what is not a number stays none.</summary>
    static abstract void StoreBFloat16(TV value, ushort* destination);

    /// <summary>Signed bytes.</summary>
    static abstract TV LoadInt8(sbyte* source);

    /// <summary>Four bits of each byte, 0 to 15: the low ones with shift 0, the high ones with shift 4.</summary>
    static abstract TV LoadUInt4(byte* source, int shift);

    /// <summary>Of each 32-bit number: shifted right by <paramref name="shift"/>, what <paramref name="mask"/> keeps.</summary>
    static abstract TV LoadBits(int* source, int shift, int mask);

    /// <summary>Of each 32-bit number: the signed byte of that index, 0 being the lowest.</summary>
    static abstract TV LoadByte(int* source, int index);

    /// <summary>Of each 32-bit number: the one of <paramref name="sixteen"/> signed bytes whose number its four bits from <paramref name="shift"/> on are.</summary>
    static abstract TV LoadLevel(sbyte* sixteen, int* source, int shift);

    static abstract TV Broadcast(float value);
    static abstract TV Add(TV a, TV b);
    static abstract TV Subtract(TV a, TV b);
    static abstract TV Multiply(TV a, TV b);
    static abstract TV Divide(TV a, TV b);
    static abstract TV SquareRoot(TV a);

    /// <summary>a where a &gt; b, else b: also where either is not a number.</summary>
    static abstract TV Max(TV a, TV b);

    /// <summary>a where a &lt; b, else b: also where either is not a number.</summary>
    static abstract TV Min(TV a, TV b);

    /// <summary>0 where a &lt; limit, else value.</summary>
    static abstract TV ZeroBelow(TV a, TV limit, TV value);

    /// <summary>value * 2^n, for a normal result: n is the low bits of <paramref name="biased"/>, which is n + 1.5 * 2^23.</summary>
    static abstract TV Scale(TV value, TV biased);

    /// <summary>a * b + c, rounded once.</summary>
    static abstract TV MultiplyAdd(TV a, TV b, TV c);
}

/// <summary>Sixteen floats in 512 bits.</summary>
internal unsafe readonly struct Lanes512 : ILanes<Vector512<float>>
{
    public static int Count => 16;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Load(float* source) => Vector512.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector512<float> value, float* destination) => value.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadHalf(ushort* source)
    {
        // The magnitude as float bits is 2^112 too small; an exponent of ones stays one of ones.
        Vector512<int> bits = Vector512.WidenLower(Vector256.Load(source).ToVector512Unsafe()).AsInt32(), magnitude = (bits & Vector512.Create(0x7fff)) << 13;
        Vector512<int> finite = (Vector512.Create(5.192296858534828e33f) * magnitude.AsSingle()).AsInt32();
        Vector512<int> special = Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(0x7c00 << 13)) & Vector512.Create(0x7f800000);
        return (finite | special | ((bits & Vector512.Create(0x8000)) << 16)).AsSingle();
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadFiniteHalf(ushort* source) =>
        // Widening copies the sign into bits 28 to 31 of what is shifted; only the last is wanted. The rest is 2^112 too small.
        ((Vector512.WidenLower(Vector256.Load((short*)source).ToVector512Unsafe()) << 13) & Vector512.Create(unchecked((int)0x8fffffff))).AsSingle() * Vector512.Create(5.192296858534828e33f);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBFloat16(ushort* source) => (Vector512.WidenLower(Vector256.Load(source).ToVector512Unsafe()) << 16).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(Vector512<float> value, ushort* destination)
    {
        // Just under half of the last kept bit, and one more where that bit is odd.
        Vector512<uint> bits = value.AsUInt32(), rounded = (bits + Vector512.Create(0x7fffu) + ((bits >>> 16) & Vector512<uint>.One)) >>> 16;
        rounded = Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, (bits >>> 16) | Vector512.Create(0x40u));
        Vector256.Narrow(rounded.GetLower(), rounded.GetUpper()).Store(destination);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadInt8(sbyte* source) => Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(source)));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadUInt4(byte* source, int shift) =>
        Vector512.ConvertToSingle((Avx512F.ConvertToVector512Int32(Vector128.Load(source)) >>> shift) & Vector512.Create(15));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBits(int* source, int shift, int mask) => Vector512.ConvertToSingle((Vector512.Load(source) >>> shift) & Vector512.Create(mask));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadByte(int* source, int index) => Vector512.ConvertToSingle((Vector512.Load(source) << 24 - 8 * index) >> 24);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadLevel(sbyte* sixteen, int* source, int shift) =>
        Vector512.ConvertToSingle((Avx512BW.Shuffle(Vector512.Create(Vector128.Load(sixteen)), ((Vector512.Load(source) >>> shift) & Vector512.Create(15)).AsSByte()).AsInt32() << 24) >> 24);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Broadcast(float value) => Vector512.Create(value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Divide(Vector512<float> a, Vector512<float> b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Vector512.MaxNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Min(Vector512<float> a, Vector512<float> b) => Vector512.MinNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> SquareRoot(Vector512<float> a) => Vector512.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ZeroBelow(Vector512<float> a, Vector512<float> limit, Vector512<float> value) => Vector512.ConditionalSelect(Vector512.LessThan(a, limit), Vector512<float>.Zero, value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Scale(Vector512<float> value, Vector512<float> biased) => (value.AsInt32() + (biased.AsInt32() << 23)).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);
}

/// <summary>Eight floats in 256 bits.</summary>
internal unsafe readonly struct Lanes256 : ILanes<Vector256<float>>
{
    public static int Count => 8;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Load(float* source) => Vector256.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector256<float> value, float* destination) => value.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadHalf(ushort* source)
    {
        // The magnitude as float bits is 2^112 too small; an exponent of ones stays one of ones.
        Vector256<int> bits = Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe()).AsInt32(), magnitude = (bits & Vector256.Create(0x7fff)) << 13;
        Vector256<int> finite = (Vector256.Create(5.192296858534828e33f) * magnitude.AsSingle()).AsInt32();
        Vector256<int> special = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(0x7c00 << 13)) & Vector256.Create(0x7f800000);
        return (finite | special | ((bits & Vector256.Create(0x8000)) << 16)).AsSingle();
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadFiniteHalf(ushort* source) =>
        // Widening copies the sign into bits 28 to 31 of what is shifted; only the last is wanted. The rest is 2^112 too small.
        ((Vector256.WidenLower(Vector128.Load((short*)source).ToVector256Unsafe()) << 13) & Vector256.Create(unchecked((int)0x8fffffff))).AsSingle() * Vector256.Create(5.192296858534828e33f);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBFloat16(ushort* source) => (Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe()) << 16).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(Vector256<float> value, ushort* destination)
    {
        // Just under half of the last kept bit, and one more where that bit is odd.
        Vector256<uint> bits = value.AsUInt32(), rounded = (bits + Vector256.Create(0x7fffu) + ((bits >>> 16) & Vector256<uint>.One)) >>> 16;
        rounded = Vector256.ConditionalSelect(Vector256.Equals(value, value).AsUInt32(), rounded, (bits >>> 16) | Vector256.Create(0x40u));
        Vector128.Narrow(rounded.GetLower(), rounded.GetUpper()).Store(destination);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadInt8(sbyte* source) => Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(source));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadUInt4(byte* source, int shift) =>
        Vector256.ConvertToSingle((Avx2.ConvertToVector256Int32(source) >>> shift) & Vector256.Create(15));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBits(int* source, int shift, int mask) => Vector256.ConvertToSingle((Vector256.Load(source) >>> shift) & Vector256.Create(mask));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadByte(int* source, int index) => Vector256.ConvertToSingle((Vector256.Load(source) << 24 - 8 * index) >> 24);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadLevel(sbyte* sixteen, int* source, int shift) =>
        Vector256.ConvertToSingle((Avx2.Shuffle(Vector256.Create(Vector128.Load(sixteen)), ((Vector256.Load(source) >>> shift) & Vector256.Create(15)).AsSByte()).AsInt32() << 24) >> 24);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Broadcast(float value) => Vector256.Create(value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Divide(Vector256<float> a, Vector256<float> b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Vector256.MaxNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Min(Vector256<float> a, Vector256<float> b) => Vector256.MinNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> SquareRoot(Vector256<float> a) => Vector256.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ZeroBelow(Vector256<float> a, Vector256<float> limit, Vector256<float> value) => Vector256.ConditionalSelect(Vector256.LessThan(a, limit), Vector256<float>.Zero, value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Scale(Vector256<float> value, Vector256<float> biased) => (value.AsInt32() + (biased.AsInt32() << 23)).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Vector256.FusedMultiplyAdd(a, b, c);
}

/// <summary>Four floats in 128 bits.</summary>
internal unsafe readonly struct Lanes128 : ILanes<Vector128<float>>
{
    public static int Count => 4;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Load(float* source) => Vector128.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector128<float> value, float* destination) => value.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadHalf(ushort* source)
    {
        // The magnitude as float bits is 2^112 too small; an exponent of ones stays one of ones.
        Vector128<int> bits = Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16()).AsInt32(), magnitude = (bits & Vector128.Create(0x7fff)) << 13;
        Vector128<int> finite = (Vector128.Create(5.192296858534828e33f) * magnitude.AsSingle()).AsInt32();
        Vector128<int> special = Vector128.GreaterThanOrEqual(magnitude, Vector128.Create(0x7c00 << 13)) & Vector128.Create(0x7f800000);
        return (finite | special | ((bits & Vector128.Create(0x8000)) << 16)).AsSingle();
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadFiniteHalf(ushort* source) =>
        // Widening copies the sign into bits 28 to 31 of what is shifted; only the last is wanted. The rest is 2^112 too small.
        ((Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsInt16()) << 13) & Vector128.Create(unchecked((int)0x8fffffff))).AsSingle() * Vector128.Create(5.192296858534828e33f);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBFloat16(ushort* source) => (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16()) << 16).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(Vector128<float> value, ushort* destination)
    {
        // Just under half of the last kept bit, and one more where that bit is odd.
        Vector128<uint> bits = value.AsUInt32(), rounded = (bits + Vector128.Create(0x7fffu) + ((bits >>> 16) & Vector128<uint>.One)) >>> 16;
        rounded = Vector128.ConditionalSelect(Vector128.Equals(value, value).AsUInt32(), rounded, (bits >>> 16) | Vector128.Create(0x40u));
        Vector64.Narrow(rounded.GetLower(), rounded.GetUpper()).Store(destination);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadInt8(sbyte* source) => Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)source).AsSByte())));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadUInt4(byte* source, int shift) =>
        Vector128.ConvertToSingle(((Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)source).AsByte())) >>> shift) & Vector128.Create(15u)).AsInt32());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBits(int* source, int shift, int mask) => Vector128.ConvertToSingle((Vector128.Load(source) >>> shift) & Vector128.Create(mask));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadByte(int* source, int index) => Vector128.ConvertToSingle((Vector128.Load(source) << 24 - 8 * index) >> 24);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadLevel(sbyte* sixteen, int* source, int shift) =>
        Vector128.ConvertToSingle((Vector128.Shuffle(Vector128.Load(sixteen), ((Vector128.Load(source) >>> shift) & Vector128.Create(15)).AsSByte()).AsInt32() << 24) >> 24);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Broadcast(float value) => Vector128.Create(value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Subtract(Vector128<float> a, Vector128<float> b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Multiply(Vector128<float> a, Vector128<float> b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Divide(Vector128<float> a, Vector128<float> b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Max(Vector128<float> a, Vector128<float> b) => Vector128.MaxNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Min(Vector128<float> a, Vector128<float> b) => Vector128.MinNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> SquareRoot(Vector128<float> a) => Vector128.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ZeroBelow(Vector128<float> a, Vector128<float> limit, Vector128<float> value) => Vector128.ConditionalSelect(Vector128.LessThan(a, limit), Vector128<float>.Zero, value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Scale(Vector128<float> value, Vector128<float> biased) => (value.AsInt32() + (biased.AsInt32() << 23)).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.FusedMultiplyAdd(a, b, c);
}

/// <summary>One float: the scalar twin.</summary>
internal unsafe readonly struct Lanes1 : ILanes<float>
{
    public static int Count => 1;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Load(float* source) => *source;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(float value, float* destination) => *destination = value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadHalf(ushort* source) => (float)*(Half*)source;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LoadFiniteHalf(ushort* source) => BitConverter.Int32BitsToSingle((*(short*)source << 13) & unchecked((int)0x8fffffff)) * 5.192296858534828e33f;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadBFloat16(ushort* source) => BitConverter.UInt32BitsToSingle((uint)*source << 16);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBFloat16(float value, ushort* destination)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        *destination = (ushort)(float.IsNaN(value) ? bits >>> 16 | 0x40 : bits + 0x7fff + ((bits >>> 16) & 1) >>> 16);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadInt8(sbyte* source) => *source;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadUInt4(byte* source, int shift) => (*source >>> shift) & 15;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadBits(int* source, int shift, int mask) => (*source >>> shift) & mask;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadByte(int* source, int index) => (sbyte)(*source >> 8 * index);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float LoadLevel(sbyte* sixteen, int* source, int shift) => sixteen[(*source >>> shift) & 15];
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Broadcast(float value) => value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Add(float a, float b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Subtract(float a, float b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Multiply(float a, float b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Divide(float a, float b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Max(float a, float b) => a > b ? a : b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Min(float a, float b) => a < b ? a : b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float SquareRoot(float a) => MathF.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float ZeroBelow(float a, float limit, float value) => a < limit ? 0 : value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scale(float value, float biased) =>
        BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value) + (BitConverter.SingleToInt32Bits(biased) << 23));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);
}

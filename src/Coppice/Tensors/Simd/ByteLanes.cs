using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Integer arithmetic on lanes of four bytes, one lane an output: what products of codes with rounded activations are written in. All of it is exact, so every
/// width gives the same integers.
/// </summary>
/// <typeparam name="TI">A vector of four bytes a lane.</typeparam>
/// <typeparam name="TV">A vector of as many floats.</typeparam>
internal unsafe interface IByteLanes<TI, TV> where TI : struct where TV : struct
{
    /// <summary>Lanes.</summary>
    static abstract int Count { get; }

    /// <summary>Four bytes a lane.</summary>
    static abstract TI Load(byte* source);

    static abstract void Store(TI value, byte* destination);

    /// <summary>The same four bytes in every lane.</summary>
    static abstract TI Broadcast(void* source);

    /// <summary>The same byte everywhere.</summary>
    static abstract TI Fill(byte value);

    /// <summary>The same 32-bit integer in every lane.</summary>
    static abstract TI Fill32(int value);

    /// <summary>Every lane shifted right as 32 unsigned bits by the lane of <paramref name="count"/>.</summary>
    static abstract TI ShiftRight(TI value, TI count);

    /// <summary>Every lane turned right as 32 bits by the lane of <paramref name="count"/>, all lanes by as many.</summary>
    static abstract TI RotateRight(TI value, TI count);

    /// <summary>Bits of <paramref name="a"/> where <paramref name="mask"/> has ones, of <paramref name="b"/> elsewhere.</summary>
    static abstract TI Blend(TI mask, TI a, TI b);

    /// <summary>Every lane shifted left by <paramref name="bits"/>, a constant; what crosses into the next byte is the caller's to keep zero.</summary>
    static abstract TI ShiftLeft(TI value, int bits);

    static abstract TI And(TI a, TI b);
    static abstract TI Or(TI a, TI b);

    /// <summary>Byte by byte.</summary>
    static abstract TI SubtractBytes(TI a, TI b);

    /// <summary>sum plus the products of unsigned bytes <paramref name="codes"/> and signed bytes <paramref name="x"/>, within a lane; <see cref="Total"/> makes it a number. The sums of the even and of the odd pairs of bytes must each stay within 16 bits.</summary>
    static abstract TI Dot(TI sum, TI codes, TI x);

    /// <summary>What <see cref="Dot"/> added up, as 32 bits a lane.</summary>
    static abstract TI Total(TI sum);

    /// <summary>Bytes 0 and 2 of a lane, signed, as 16 bits each.</summary>
    static abstract TI EvenBytes(TI value);

    /// <summary>Bytes 1 and 3 of a lane, signed, as 16 bits each.</summary>
    static abstract TI OddBytes(TI value);

    /// <summary>sum plus both products of signed 16-bit numbers in a lane, in 32 bits.</summary>
    static abstract TI DotWide(TI sum, TI a, TI b);

    /// <summary>In every lane, the four of eight bytes at <paramref name="eight"/> whose numbers, 0 to 7, stand in the lane of <paramref name="which"/>.</summary>
    static abstract TI Select(void* eight, TI which);

    /// <summary>In every lane, the four of sixteen bytes at <paramref name="sixteen"/> whose numbers, 0 to 15, stand in the lane of <paramref name="which"/>.</summary>
    static abstract TI Lookup(void* sixteen, TI which);

    static abstract TI Xor(TI a, TI b);

    /// <summary>Every lane shifted right by two bits.</summary>
    static abstract TI ShiftRight2(TI value);

    /// <summary>Sums of <see cref="Dot"/>, one less the other; both are of 16 bits where <see cref="Dot"/>'s are.</summary>
    static abstract TI SubtractSums(TI a, TI b);

    /// <summary>In 32 bits a lane.</summary>
    static abstract TI Add(TI a, TI b);

    /// <summary>32-bit integers as floats, rounded to nearest.</summary>
    static abstract TV ToFloat(TI value);
}

/// <summary>Sixteen lanes in 512 bits.</summary>
internal readonly unsafe struct ByteLanes512 : IByteLanes<Vector512<int>, Vector512<float>>
{
    public static int Count => 16;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Load(byte* source) => Vector512.Load((int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector512<int> value, byte* destination) => value.Store((int*)destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Broadcast(void* source) => Vector512.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Fill(byte value) => Vector512.Create(value).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Fill32(int value) => Vector512.Create(value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> ShiftRight(Vector512<int> value, Vector512<int> count) => Avx512F.ShiftRightLogicalVariable(value, count.AsUInt32());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> RotateRight(Vector512<int> value, Vector512<int> count) => Avx512F.RotateRightVariable(value, count.AsUInt32());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Blend(Vector512<int> mask, Vector512<int> a, Vector512<int> b) => Vector512.ConditionalSelect(mask, a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> ShiftLeft(Vector512<int> value, int bits) => value << bits;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> And(Vector512<int> a, Vector512<int> b) => a & b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Or(Vector512<int> a, Vector512<int> b) => a | b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> SubtractBytes(Vector512<int> a, Vector512<int> b) => (a.AsByte() - b.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Dot(Vector512<int> sum, Vector512<int> codes, Vector512<int> x) =>
        (sum.AsInt16() + Avx512BW.MultiplyAddAdjacent(codes.AsByte(), x.AsSByte())).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Total(Vector512<int> sum) => Avx512BW.MultiplyAddAdjacent(sum.AsInt16(), Vector512<short>.One);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> EvenBytes(Vector512<int> value) => ((value.AsInt16() << 8) >> 8).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> OddBytes(Vector512<int> value) => (value.AsInt16() >> 8).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> DotWide(Vector512<int> sum, Vector512<int> a, Vector512<int> b) => sum + Avx512BW.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Select(void* eight, Vector512<int> which) => Avx512BW.Shuffle(Vector512.Create(*(ulong*)eight).AsByte(), which.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Lookup(void* sixteen, Vector512<int> which) => Avx512BW.Shuffle(Vector512.Create(Vector128.Load((byte*)sixteen)), which.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Xor(Vector512<int> a, Vector512<int> b) => a ^ b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> ShiftRight2(Vector512<int> value) => value >>> 2;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> SubtractSums(Vector512<int> a, Vector512<int> b) => (a.AsInt16() - b.AsInt16()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<int> Add(Vector512<int> a, Vector512<int> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> ToFloat(Vector512<int> value) => Vector512.ConvertToSingle(value);
}

/// <summary>Eight lanes in 256 bits; one instruction sums four products where the processor has VNNI.</summary>
internal readonly unsafe struct ByteLanes256 : IByteLanes<Vector256<int>, Vector256<float>>
{
    public static int Count => 8;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Load(byte* source) => Vector256.Load((int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector256<int> value, byte* destination) => value.Store((int*)destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Broadcast(void* source) => Vector256.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Fill(byte value) => Vector256.Create(value).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Fill32(int value) => Vector256.Create(value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> ShiftRight(Vector256<int> value, Vector256<int> count) => Avx2.ShiftRightLogicalVariable(value, count.AsUInt32());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> RotateRight(Vector256<int> value, Vector256<int> count) => Avx512F.VL.IsSupported
        ? Avx512F.VL.RotateRightVariable(value, count.AsUInt32())
        : Avx2.ShiftRightLogicalVariable(value, count.AsUInt32()) | Avx2.ShiftLeftLogicalVariable(value, (Vector256.Create(32) - count).AsUInt32());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Blend(Vector256<int> mask, Vector256<int> a, Vector256<int> b) => Vector256.ConditionalSelect(mask, a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> ShiftLeft(Vector256<int> value, int bits) => value << bits;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> And(Vector256<int> a, Vector256<int> b) => a & b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Or(Vector256<int> a, Vector256<int> b) => a | b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> SubtractBytes(Vector256<int> a, Vector256<int> b) => (a.AsByte() - b.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<int> codes, Vector256<int> x) => AvxVnni.IsSupported
        ? AvxVnni.MultiplyWideningAndAdd(sum, codes.AsByte(), x.AsSByte())
        : (sum.AsInt16() + Avx2.MultiplyAddAdjacent(codes.AsByte(), x.AsSByte())).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Total(Vector256<int> sum) => AvxVnni.IsSupported ? sum : Avx2.MultiplyAddAdjacent(sum.AsInt16(), Vector256<short>.One);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> EvenBytes(Vector256<int> value) => ((value.AsInt16() << 8) >> 8).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> OddBytes(Vector256<int> value) => (value.AsInt16() >> 8).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> DotWide(Vector256<int> sum, Vector256<int> a, Vector256<int> b) => AvxVnni.IsSupported
        ? AvxVnni.MultiplyWideningAndAdd(sum, a.AsInt16(), b.AsInt16())
        : sum + Avx2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16());
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Select(void* eight, Vector256<int> which) => Avx2.Shuffle(Vector256.Create(*(ulong*)eight).AsByte(), which.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Lookup(void* sixteen, Vector256<int> which) => Avx2.Shuffle(Vector256.Create(Vector128.Load((byte*)sixteen)), which.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Xor(Vector256<int> a, Vector256<int> b) => a ^ b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> ShiftRight2(Vector256<int> value) => value >>> 2;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> SubtractSums(Vector256<int> a, Vector256<int> b) => AvxVnni.IsSupported ? a - b : (a.AsInt16() - b.AsInt16()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<int> Add(Vector256<int> a, Vector256<int> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> ToFloat(Vector256<int> value) => Vector256.ConvertToSingle(value);
}

/// <summary>Four lanes in 128 bits, on any processor with vectors.</summary>
internal readonly unsafe struct ByteLanes128 : IByteLanes<Vector128<int>, Vector128<float>>
{
    public static int Count => 4;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Load(byte* source) => Vector128.Load((int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector128<int> value, byte* destination) => value.Store((int*)destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Broadcast(void* source) => Vector128.Create(*(int*)source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Fill(byte value) => Vector128.Create(value).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Fill32(int value) => Vector128.Create(value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> ShiftRight(Vector128<int> value, Vector128<int> count) => value >>> count[0];
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> RotateRight(Vector128<int> value, Vector128<int> count) => value >>> count[0] | value << (32 - count[0]);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Blend(Vector128<int> mask, Vector128<int> a, Vector128<int> b) => Vector128.ConditionalSelect(mask, a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> ShiftLeft(Vector128<int> value, int bits) => value << bits;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> And(Vector128<int> a, Vector128<int> b) => a & b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Or(Vector128<int> a, Vector128<int> b) => a | b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> SubtractBytes(Vector128<int> a, Vector128<int> b) => (a.AsByte() - b.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<int> sum, Vector128<int> codes, Vector128<int> x)
    {
        if (Ssse3.IsSupported)
            return (sum.AsInt16() + Ssse3.MultiplyAddAdjacent(codes.AsByte(), x.AsSByte())).AsInt32();
        Vector128<short> even = (codes.AsUInt16() & Vector128.Create((ushort)255)).AsInt16(), odd = (codes.AsUInt16() >>> 8).AsInt16();
        return (sum.AsInt16() + even * EvenBytes(x).AsInt16() + odd * OddBytes(x).AsInt16()).AsInt32();
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Total(Vector128<int> sum) => ((sum << 16) >> 16) + (sum >> 16);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> EvenBytes(Vector128<int> value) => ((value.AsInt16() << 8) >> 8).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> OddBytes(Vector128<int> value) => (value.AsInt16() >> 8).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> DotWide(Vector128<int> sum, Vector128<int> a, Vector128<int> b) => Sse2.IsSupported
        ? sum + Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16())
        : sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Select(void* eight, Vector128<int> which) => Vector128.Shuffle(Vector128.Create(*(ulong*)eight).AsByte(), which.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Lookup(void* sixteen, Vector128<int> which) => Vector128.Shuffle(Vector128.Load((byte*)sixteen), which.AsByte()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Xor(Vector128<int> a, Vector128<int> b) => a ^ b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> ShiftRight2(Vector128<int> value) => value >>> 2;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> SubtractSums(Vector128<int> a, Vector128<int> b) => (a.AsInt16() - b.AsInt16()).AsInt32();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<int> Add(Vector128<int> a, Vector128<int> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> ToFloat(Vector128<int> value) => Vector128.ConvertToSingle(value);
}

/// <summary>One lane: the scalar twin.</summary>
internal readonly unsafe struct ByteLanes1 : IByteLanes<int, float>
{
    public static int Count => 1;
    public static int Load(byte* source) => *(int*)source;
    public static void Store(int value, byte* destination) => *(int*)destination = value;
    public static int Broadcast(void* source) => *(int*)source;
    public static int Fill(byte value) => value * 0x01010101;
    public static int Fill32(int value) => value;
    public static int ShiftRight(int value, int count) => value >>> count;
    public static int RotateRight(int value, int count) => int.RotateRight(value, count);
    public static int Blend(int mask, int a, int b) => mask & a | ~mask & b;
    public static int ShiftLeft(int value, int bits) => value << bits;
    public static int And(int a, int b) => a & b;
    public static int Or(int a, int b) => a | b;
    public static int SubtractBytes(int a, int b)
    {
        int result = 0;
        for (int i = 0; i < 32; i += 8)
            result |= (byte)((a >> i) - (b >> i)) << i;
        return result;
    }
    public static int Dot(int sum, int codes, int x)
    {
        for (int i = 0; i < 32; i += 8)
            sum += (byte)(codes >> i) * (sbyte)(x >> i);
        return sum;
    }
    public static int Total(int sum) => sum;
    public static int EvenBytes(int value) => (ushort)(short)(sbyte)value | (sbyte)(value >> 16) << 16;
    public static int OddBytes(int value) => EvenBytes(value >> 8);
    public static int DotWide(int sum, int a, int b) => sum + (short)a * (short)b + (a >> 16) * (b >> 16);
    public static int Select(void* eight, int which)
    {
        int result = 0;
        for (int i = 0; i < 32; i += 8)
            result |= ((byte*)eight)[which >> i & 7] << i;
        return result;
    }
    public static int Lookup(void* sixteen, int which)
    {
        int result = 0;
        for (int i = 0; i < 32; i += 8)
            result |= ((byte*)sixteen)[which >> i & 15] << i;
        return result;
    }
    public static int Xor(int a, int b) => a ^ b;
    public static int ShiftRight2(int value) => value >>> 2;
    public static int SubtractSums(int a, int b) => a - b;
    public static int Add(int a, int b) => a + b;
    public static float ToFloat(int value) => value;
}

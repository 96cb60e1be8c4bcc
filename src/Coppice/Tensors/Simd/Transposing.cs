using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>Small blocks of numbers, rows made columns.</summary>
static class Transposing
{
    /// <summary>A 4 x 4 block, by two rounds of interleaving.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector128<float>, Vector128<float>, Vector128<float>, Vector128<float>) FourByFour(Vector128<float> r0, Vector128<float> r1, Vector128<float> r2, Vector128<float> r3)
    {
        var (a, b) = Interleave(r0, r2);
        var (c, d) = Interleave(r1, r3);
        var (s0, s1) = Interleave(a, c);
        var (s2, s3) = Interleave(b, d);
        return (s0, s1, s2, s3);
    }

    /// <summary>Two 4 x 4 blocks, in the lower and in the upper halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float>, Vector256<float>, Vector256<float>, Vector256<float>) FourByFour(Vector256<float> r0, Vector256<float> r1, Vector256<float> r2, Vector256<float> r3)
    {
        if (Avx.IsSupported)
        {
            Vector256<float> a = Avx.UnpackLow(r0, r2), b = Avx.UnpackHigh(r0, r2), c = Avx.UnpackLow(r1, r3), d = Avx.UnpackHigh(r1, r3);
            return (Avx.UnpackLow(a, c), Avx.UnpackHigh(a, c), Avx.UnpackLow(b, d), Avx.UnpackHigh(b, d));
        }
        var (l0, l1, l2, l3) = FourByFour(r0.GetLower(), r1.GetLower(), r2.GetLower(), r3.GetLower());
        var (u0, u1, u2, u3) = FourByFour(r0.GetUpper(), r1.GetUpper(), r2.GetUpper(), r3.GetUpper());
        return (Vector256.Create(l0, u0), Vector256.Create(l1, u1), Vector256.Create(l2, u2), Vector256.Create(l3, u3));
    }

    // (x0 y0 x1 y1), (x2 y2 x3 y3)
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static (Vector128<float> Low, Vector128<float> High) Interleave(Vector128<float> x, Vector128<float> y)
    {
        if (Sse.IsSupported)
            return (Sse.UnpackLow(x, y), Sse.UnpackHigh(x, y));
        if (AdvSimd.Arm64.IsSupported)
            return (AdvSimd.Arm64.ZipLow(x, y), AdvSimd.Arm64.ZipHigh(x, y));
        return (Vector128.Create(x[0], y[0], x[1], y[1]), Vector128.Create(x[2], y[2], x[3], y[3]));
    }
}

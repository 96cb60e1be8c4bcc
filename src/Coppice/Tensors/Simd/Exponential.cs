using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Functions of one float that give the same bits in every lane and at every width.</summary>
internal static class Exponential
{
    const float Log2E = 1.44269504f, Bias = 12582912f;

    // ln 2 in two parts, the first with enough trailing zeros that n * Ln2High is exact.
    const float Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;

    /// <summary>The largest argument; above it the result stays that of the limit, about 2.4e38.</summary>
    public const float Largest = 88.3f;

    /// <summary>Below this argument the result is 0.</summary>
    public const float Smallest = -87.3f;

    /// <summary>e^x within 2 units in the last place: x = n ln 2 + r, e^x = 2^n times the Taylor polynomial of r (|r| up to ln 2 / 2, truncated at 5e-9).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Exp<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        // The limit comes first, so that what is not a number stays so.
        TV limited = TL.Min(TL.Broadcast(Largest), TL.Max(TL.Broadcast(Smallest), x));
        TV biased = TL.MultiplyAdd(limited, TL.Broadcast(Log2E), TL.Broadcast(Bias));
        TV n = TL.Subtract(biased, TL.Broadcast(Bias));
        TV r = TL.MultiplyAdd(n, TL.Broadcast(-Ln2High), limited);
        r = TL.MultiplyAdd(n, TL.Broadcast(-Ln2Low), r);
        TV p = TL.MultiplyAdd(r, TL.Broadcast(1f / 5040), TL.Broadcast(1f / 720));
        p = TL.MultiplyAdd(r, p, TL.Broadcast(1f / 120));
        p = TL.MultiplyAdd(r, p, TL.Broadcast(1f / 24));
        p = TL.MultiplyAdd(r, p, TL.Broadcast(1f / 6));
        p = TL.MultiplyAdd(r, p, TL.Broadcast(0.5f));
        p = TL.MultiplyAdd(r, p, TL.Broadcast(1f));
        p = TL.MultiplyAdd(r, p, TL.Broadcast(1f));
        return TL.ZeroBelow(x, TL.Broadcast(Smallest), TL.Scale(p, biased));
    }

    /// <summary>1 / (1 + e^-x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Sigmoid<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV one = TL.Broadcast(1f);
        return TL.Divide(one, TL.Add(one, Exp<TL, TV>(TL.Subtract(default, x))));
    }

    /// <summary>(1 - e^-2x) / (1 + e^-2x), within 2e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Tanh<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct =>
        TL.MultiplyAdd(TL.Broadcast(2f), Sigmoid<TL, TV>(TL.Add(x, x)), TL.Broadcast(-1f));

    /// <summary>The normal distribution's function (1 + erf(x / sqrt 2)) / 2 within 1e-7: Abramowitz and Stegun 1964, 7.1.26.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Normal<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV one = TL.Broadcast(1f), size = TL.Multiply(TL.Broadcast(0.70710678f), TL.Max(x, TL.Subtract(default, x)));
        TV t = TL.Divide(one, TL.MultiplyAdd(TL.Broadcast(0.3275911f), size, one));
        TV p = TL.MultiplyAdd(TL.Broadcast(1.061405429f), t, TL.Broadcast(-1.453152027f));
        p = TL.MultiplyAdd(p, t, TL.Broadcast(1.421413741f));
        p = TL.MultiplyAdd(p, t, TL.Broadcast(-0.284496736f));
        p = TL.MultiplyAdd(p, t, TL.Broadcast(0.254829592f));
        // Half of what is outside of +-x: the tail below where x is negative, what remains where it is not.
        TV tail = TL.Multiply(TL.Multiply(TL.Broadcast(0.5f), TL.Multiply(p, t)), Exp<TL, TV>(TL.Subtract(default, TL.Multiply(size, size))));
        return TL.Add(tail, TL.ZeroBelow(x, default, TL.Subtract(one, TL.Add(tail, tail))));
    }
}

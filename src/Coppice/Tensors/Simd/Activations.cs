using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>A function of one number between two matrices of a feed-forward part, and its slope.</summary>
internal interface IActivation
{
    /// <summary>f(x).</summary>
    static abstract TV Value<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct;

    /// <summary>df/dx.</summary>
    static abstract TV Slope<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct;
}

/// <summary>x / (1 + e^-x) (Elfwing et al. 2018).</summary>
internal readonly struct Silu : IActivation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct => TL.Multiply(x, Exponential.Sigmoid<TL, TV>(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Slope<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV one = TL.Broadcast(1f), s = Exponential.Sigmoid<TL, TV>(x);
        return TL.Multiply(s, TL.MultiplyAdd(x, TL.Subtract(one, s), one));
    }
}

/// <summary>x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel 2016).</summary>
internal readonly struct GeluTanh : IActivation
{
    const float Outer = 0.79788456f, Cubic = 0.044715f;

    // (1 + tanh u) / 2 is sigmoid(2 u).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TV Share<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV inner = TL.MultiplyAdd(TL.Multiply(TL.Broadcast(Cubic), TL.Multiply(x, x)), x, x);
        return Exponential.Sigmoid<TL, TV>(TL.Multiply(TL.Broadcast(2 * Outer), inner));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct => TL.Multiply(x, Share<TL, TV>(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Slope<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV one = TL.Broadcast(1f), s = Share<TL, TV>(x);
        TV inner = TL.Multiply(TL.Broadcast(2 * Outer), TL.MultiplyAdd(TL.Multiply(TL.Broadcast(3 * Cubic), x), x, one));
        return TL.MultiplyAdd(TL.Multiply(TL.Multiply(x, s), TL.Subtract(one, s)), inner, s);
    }
}

/// <summary>x times the normal distribution's function (Hendrycks and Gimpel 2016).</summary>
internal readonly struct Gelu : IActivation
{
    const float Density = 0.39894228f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct => TL.Multiply(x, Exponential.Normal<TL, TV>(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Slope<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV density = TL.Multiply(TL.Broadcast(Density), Exponential.Exp<TL, TV>(TL.Multiply(TL.Broadcast(-0.5f), TL.Multiply(x, x))));
        return TL.MultiplyAdd(x, density, Exponential.Normal<TL, TV>(x));
    }
}

/// <summary>max(x, 0).</summary>
internal readonly struct Relu : IActivation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct => TL.Max(x, default);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Slope<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct => TL.ZeroBelow(x, TL.Broadcast(float.Epsilon), TL.Broadcast(1f));
}

/// <summary>The hyperbolic tangent.</summary>
internal readonly struct Tanh : IActivation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct => Exponential.Tanh<TL, TV>(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Slope<TL, TV>(TV x) where TL : struct, ILanes<TV> where TV : struct
    {
        TV y = Exponential.Tanh<TL, TV>(x);
        return TL.Subtract(TL.Broadcast(1f), TL.Multiply(y, y));
    }
}

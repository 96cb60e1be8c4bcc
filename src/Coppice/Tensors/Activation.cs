namespace Coppice.Tensors;

/// <summary>The function between the matrices of a feed-forward part.</summary>
public enum Activation
{
    /// <summary>x / (1 + e^-x).</summary>
    Silu,

    /// <summary>GELU by its tanh formula.</summary>
    GeluTanh,

    /// <summary>GELU by the normal distribution's function.</summary>
    Gelu,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>The hyperbolic tangent.</summary>
    Tanh,
}

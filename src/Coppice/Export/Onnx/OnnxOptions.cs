namespace Coppice.Export.Onnx;

/// <summary>What products and the cache are computed in.</summary>
enum OnnxPrecision
{
    /// <summary>IEEE single.</summary>
    Float32,

    /// <summary>IEEE half; norms and attention's weights in single.</summary>
    Float16,
}

/// <summary>How integer matrices are multiplied.</summary>
enum OnnxIntegers
{
    /// <summary>By ONNX Runtime's own operation MatMulNBits, 4 and 8 bits in groups.</summary>
    MatMulNBits,

    /// <summary>By the standard's DequantizeLinear (QDQ), which any runtime knows.</summary>
    DequantizeLinear,
}

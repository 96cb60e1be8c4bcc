namespace Coppice.Weights;

/// <summary>What a product reads its input as.</summary>
public enum ActivationFormat
{
    /// <summary>float32, as it is.</summary>
    Float32,

    /// <summary>Signed bytes that share a scale in groups of 32 neighbours of a row, max|x| / 127.</summary>
    Int8,
}

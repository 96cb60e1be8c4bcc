namespace Coppice.Weights;

/// <summary>What a product reads its input as.</summary>
public enum ActivationFormat
{
    /// <summary>float32, as it is.</summary>
    Float32,

    /// <summary>Signed bytes that share a scale in groups of 32 neighbours of a row, max|x| / 127.</summary>
    Int8,

    /// <summary>Signed bytes that share one scale over all inputs of a matrix, fixed beforehand by calibration; numbers beyond its range are cut off.</summary>
    Int8Static,
}

/// <summary>Formats by the names that users and scores know.</summary>
static class ActivationFormats
{
    public static string NameOf(ActivationFormat format) => format switch { ActivationFormat.Int8 => "int8", ActivationFormat.Int8Static => "int8-static", _ => "f32" };
}

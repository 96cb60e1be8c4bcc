namespace Coppice.Formats;

/// <summary>How a container stores one number. The names are safetensors'.</summary>
public enum DType
{
    /// <summary>IEEE double.</summary>
    F64,
    /// <summary>IEEE single.</summary>
    F32,
    /// <summary>IEEE half.</summary>
    F16,
    /// <summary>The upper half of an IEEE single.</summary>
    BF16,
    /// <summary>8 bits: 4 of exponent, 3 of mantissa, no infinities.</summary>
    F8_E4M3,
    /// <summary>8 bits: 5 of exponent, 2 of mantissa.</summary>
    F8_E5M2,
    /// <summary>64-bit integer.</summary>
    I64,
    /// <summary>32-bit integer.</summary>
    I32,
    /// <summary>16-bit integer.</summary>
    I16,
    /// <summary>8-bit integer.</summary>
    I8,
    /// <summary>64-bit unsigned integer.</summary>
    U64,
    /// <summary>32-bit unsigned integer.</summary>
    U32,
    /// <summary>16-bit unsigned integer.</summary>
    U16,
    /// <summary>8-bit unsigned integer.</summary>
    U8,
    /// <summary>One byte, 0 or 1.</summary>
    BOOL,
}

static class DTypes
{
    /// <summary>Bytes of one number.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.F64 or DType.I64 or DType.U64 => 8,
        DType.F32 or DType.I32 or DType.U32 => 4,
        DType.F16 or DType.BF16 or DType.I16 or DType.U16 => 2,
        _ => 1,
    };

    /// <summary>Whether <paramref name="name"/> is one of the names above, exactly.</summary>
    public static bool TryParse(string? name, out DType type)
    {
        foreach (DType candidate in Enum.GetValues<DType>())
            if (candidate.ToString() == name)
            {
                type = candidate;
                return true;
            }
        type = default;
        return false;
    }
}

using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Export;

/// <summary>Matrices as plain numbers.</summary>
static class PlainForm
{
    /// <summary>Whether a matrix was rounded to a grid: then plain numbers of 16 bits may not hold it.</summary>
    public static bool IsPacked(Weight made) => made is not (DenseWeight or HalfWeight or StoredWeight or SpreadWeight or SparseWeight or TwoFourWeight or Float8Weight { Scales.Length: 0 });

    /// <summary>The narrowest plain numbers that hold a matrix of this kind, whatever they are.</summary>
    public static DType TypeOf(Weight made) => made switch
    {
        HalfWeight { Format: HalfFormat.BFloat16 } or StoredWeight { Format: HalfFormat.BFloat16 } or SpreadWeight { Format: HalfFormat.BFloat16 } => DType.BF16,
        HalfWeight or StoredWeight { Format: HalfFormat.Float16 } or SpreadWeight { Format: HalfFormat.Float16 } or SparseWeight or TwoFourWeight or Float8Weight { Scales.Length: 0 } => DType.F16,
        _ => DType.F32,
    };

    /// <summary>A matrix to be written as F32, F16 or BF16.</summary>
    public static Weight As(Weight weight, DType type)
    {
        HalfFormat? format = type switch { DType.F16 => HalfFormat.Float16, DType.BF16 => HalfFormat.BFloat16, _ => null };
        return DeferredWeight.Changed(weight, made => new SpreadWeight(made, format));
    }

    /// <summary>The type of an option, F32, F16 or BF16 in letters of any size; null where none is given.</summary>
    /// <exception cref="CoppiceException">It is another.</exception>
    public static DType? Parse(string? type, string format) => type?.ToUpperInvariant() switch
    {
        null => null,
        "F32" => DType.F32,
        "F16" => DType.F16,
        "BF16" => DType.BF16,
        _ => throw new CoppiceException($"{format} has no type '{type}', wanted f32, f16 or bf16"),
    };
}

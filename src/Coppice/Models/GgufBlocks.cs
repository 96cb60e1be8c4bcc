using Coppice.Formats;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Models;

/// <summary>Which GGUF type holds a weight's numbers exactly.</summary>
static class GgufBlocks
{
    /// <summary>The type that a weight is written as unless another is asked for: its own where GGUF has it, else F16.</summary>
    public static GgmlType TypeOf(Weight weight) => DeferredWeight.Made(weight) switch
    {
        BlockWeight blocks => GgmlType.Of(blocks.Format),
        HalfWeight { Format: HalfFormat.BFloat16 } or StoredWeight { Format: HalfFormat.BFloat16 } or SpreadWeight { Format: HalfFormat.BFloat16 } => GgmlType.BF16,
        _ => GgmlType.F16,
    };

    /// <summary>Whether a type holds all the numbers of a weight.</summary>
    public static bool IsExact(Weight weight, GgmlType type) =>
        type == GgmlType.F32
        || type == TypeOf(weight) && (weight is HalfWeight or StoredWeight { Format: not null } or BlockWeight)
        || type == GgmlType.F16 && Array.TrueForAll(weight.ToDense(), value => (float)(Half)value == value);
}

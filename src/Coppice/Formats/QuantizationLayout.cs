using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>Whose parts a model's packed matrices are written in.</summary>
public enum QuantizationLayout
{
    /// <summary>llm-compressor's: every kind of matrix.</summary>
    CompressedTensors,

    /// <summary>GPTQ's: integers of 2, 3, 4 and 8 bits.</summary>
    Gptq,

    /// <summary>AWQ's: integers of 4 bits, all in groups of one size.</summary>
    Awq,

    /// <summary>bitsandbytes': NF4.</summary>
    BitsAndBytes,

    /// <summary>Coppice's own: what no other program stores.</summary>
    Own,
}

/// <summary>Writes packed matrices in a layout.</summary>
public static class QuantizationLayouts
{
    /// <summary>The tensors of a model's safetensors, and what config.json has to hold under <see cref="CompressionConfig.Key"/>: null where nothing is packed.</summary>
    /// <param name="layout">Matrices that it has no parts for are written as plain ones.</param>
    /// <param name="entries">Named as Hugging Face names them.</param>
    /// <param name="dense">For matrices without a type of their own in the layout, and for vectors: F32, F16 or BF16.</param>
    /// <exception cref="CoppiceException">The layout has no place for an integer matrix.</exception>
    public static (ImmutableArray<TensorSource> Tensors, JsonObject? Config) Encode(this QuantizationLayout layout, IReadOnlyCollection<CheckpointEntry> entries, DType dense)
    {
        switch (layout)
        {
            case QuantizationLayout.Gptq:
                (ImmutableArray<TensorSource> tensors, GptqConfig? gptq) = GptqTensors.Encode(entries, dense);
                return (tensors, gptq?.ToJson());
            case QuantizationLayout.Awq:
                (tensors, AwqConfig? awq) = AwqTensors.Encode(entries, dense);
                return (tensors, awq?.ToJson());
            case QuantizationLayout.BitsAndBytes:
                return BitsAndBytes.Encode(entries, dense);
            case QuantizationLayout.Own:
                return (OwnLayout.Encode(entries, dense), OwnLayout.Config);
            default:
                (tensors, CompressionConfig? compression) = CompressedTensors.Encode(entries, dense);
                return (tensors, compression?.ToJson());
        }
    }

    /// <summary>The layout that the most programs read of those that hold a model's matrices exactly: bitsandbytes' where all packed ones are NF4, Coppice's own where one is on levels that no other has, else compressed-tensors'.</summary>
    public static QuantizationLayout For(IReadOnlyCollection<CheckpointEntry> entries)
    {
        bool hasOwn = false, isNf4 = true;
        foreach (CheckpointEntry entry in entries)
            if (entry.Weight is { } weight && DeferredWeight.Made(weight) is var made && WeightParts.IsSized(made))
            {
                hasOwn |= made is LevelWeight or Int16Weight or WaveletWeight or Float8Weight { Format: Float8Format.E5M2, Scales.Length: > 0 };
                isNf4 &= BitsAndBytes.Holds(made);
            }
        return !hasOwn ? QuantizationLayout.CompressedTensors : isNf4 ? QuantizationLayout.BitsAndBytes : QuantizationLayout.Own;
    }

    /// <summary>Why a layout cannot hold a packed matrix as it is; null where it can.</summary>
    internal static string? Fault(this QuantizationLayout layout, string name, Weight weight)
    {
        try
        {
            if (IntegerMatrix.Find(new CheckpointEntry(name, weight), layout.ToString()) is { } matrix)
                (layout switch { QuantizationLayout.Gptq => GptqTensors.Check, QuantizationLayout.Awq => AwqTensors.Check, _ => (Action<IntegerMatrix>)(integers => integers.CheckGroups("compressed-tensors")) })(matrix);
            else if (layout != QuantizationLayout.CompressedTensors || weight is not (Float8Weight { Format: Float8Format.E4M3 } or SparseWeight or TwoFourWeight))
                return $"{layout}: has no parts for {weight.Kind}";
            return null;
        }
        catch (CoppiceException error)
        {
            return error.Message;
        }
    }
}

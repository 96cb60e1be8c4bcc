using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>
/// bitsandbytes' 4 bits: of a matrix <c>x.weight</c>, read row after row, two codes a byte with the first in the high bits, and a float32 scale for each block of <c>blocksize</c> numbers.
/// NF4 is written; read is FP4 too, whose smallest level is a 192nd of its largest where e2m1 has a twelfth, and scales that are themselves 8 bits ("double quantization").
/// </summary>
static class BitsAndBytes
{
    /// <summary>Its <c>quant_method</c>.</summary>
    public const string Method = "bitsandbytes";

    /// <summary>What the names of a matrix's settings end with, and the type after it.</summary>
    public const string State = ".quant_state.bitsandbytes__";

    /// <summary>Block sizes that its kernels know.</summary>
    static readonly int[] BlockSizes = [64, 128, 256, 512, 1024, 2048, 4096];

    /// <summary>Whether a matrix is stored exactly.</summary>
    public static bool Holds(Weight weight) => weight is LevelWeight { ScaleType: not ScaleType.PowerOfTwo } levels && levels.Table == LevelTables.Nf4 && weight.Shape.Length % 2 == 0 && BlockSizes.Contains(BlockOf(levels));

    static int BlockOf(LevelWeight weight) => weight.GroupSize == IntWeight.WholeRow ? weight.Columns : weight.GroupSize;

    /// <summary>The tensors of a model's safetensors, and what config.json has to say of them.</summary>
    /// <param name="entries">Named as Hugging Face names them; packed ones are those that it <see cref="Holds"/>.</param>
    /// <param name="dense">For everything else: F32, F16 or BF16.</param>
    public static (ImmutableArray<TensorSource> Tensors, JsonObject Config) Encode(IReadOnlyCollection<CheckpointEntry> entries, DType dense)
    {
        ImmutableArray<TensorSource>.Builder tensors = ImmutableArray.CreateBuilder<TensorSource>();
        JsonArray plain = [];
        foreach (CheckpointEntry entry in entries)
            if (entry.Weight is { } weight && DeferredWeight.Made(weight) is LevelWeight)
                tensors.AddRange(TensorSource.Parts(weight, made => Parts(entry.Name, (LevelWeight)made)));
            else
            {
                tensors.Add(TensorSource.Plain(entry, dense));
                if (entry.Weight is not null && entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal))
                    plain.Add((JsonNode)entry.Name[..^QuantizedCheckpoint.WeightSuffix.Length]);
            }
        if (TiedHead.Of(entries) is { } head)
            plain.Add((JsonNode)head);
        return (tensors.DrainToImmutable(), new JsonObject
        {
            ["bnb_4bit_compute_dtype"] = "float16",
            ["bnb_4bit_quant_storage"] = "uint8",
            ["bnb_4bit_quant_type"] = "nf4",
            ["bnb_4bit_use_double_quant"] = false,
            ["llm_int8_skip_modules"] = plain,
            ["load_in_4bit"] = true,
            ["load_in_8bit"] = false,
            ["quant_method"] = Method,
        });
    }

    static IEnumerable<TensorSource> Parts(string name, LevelWeight weight)
    {
        int count = weight.Shape.Length;
        yield return TensorSource.Made(name, DType.U8, [count / 2, 1], () =>
        {
            byte[] codes = new byte[count], pairs = new byte[count / 2];
            for (int row = 0; row < weight.Rows; row++)
                weight.UnpackCodes(row, codes.AsSpan(row * weight.Columns, weight.Columns));
            for (int i = 0; i < pairs.Length; i++)
                pairs[i] = (byte)(codes[2 * i] << 4 | codes[2 * i + 1]);
            return pairs;
        });
        yield return TensorSource.Raw(name + ".absmax", DType.F32, [weight.Scales.Length], weight.Scales.ToArray());
        yield return TensorSource.Raw(name + ".quant_map", DType.F32, [weight.Table.Count], weight.Table.Levels.ToArray());
        byte[] state = System.Text.Encoding.UTF8.GetBytes(new JsonObject
        {
            ["quant_type"] = "nf4",
            ["blocksize"] = BlockOf(weight),
            ["dtype"] = "float16",
            ["shape"] = new JsonArray(weight.Rows, weight.Columns),
        }.ToJsonString());
        yield return TensorSource.Raw(name + State + "nf4", DType.U8, [state.Length], state);
    }
}

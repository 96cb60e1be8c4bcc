using System.Buffers;
using System.Collections.Immutable;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>Writes integer matrices of 4 bits as AWQ's readers want them for matrix products (GEMM); everything else as plain tensors.</summary>
public static class AwqTensors
{
    const string Method = "AWQ";

    /// <summary>The tensors of a model's safetensors, and what its config.json has to say of them: null where nothing is quantized.</summary>
    /// <param name="entries">Named as Hugging Face names them: <c>model.layers.0.mlp.up_proj.weight</c>.</param>
    /// <param name="dense">For matrices without a type of their own in the format, and for vectors: F32, F16 or BF16.</param>
    /// <exception cref="CoppiceException">The format has no place for a matrix: other than 4 bits, several group sizes, inputs out of order, or sizes that are no whole number of words or groups.</exception>
    public static (ImmutableArray<TensorSource> Tensors, AwqConfig? Config) Encode(IReadOnlyCollection<CheckpointEntry> entries, DType dense)
    {
        ImmutableArray<TensorSource>.Builder tensors = ImmutableArray.CreateBuilder<TensorSource>();
        List<string> plain = [];
        (string Module, int GroupSize)? first = null;
        foreach (CheckpointEntry entry in entries)
            if (IntegerMatrix.Find(entry, Method) is { } matrix)
            {
                first ??= (matrix.Module, matrix.Weight.GroupSize);
                if (matrix.Weight.GroupSize != first.Value.GroupSize)
                    throw matrix.Error(Method, $"has groups of {matrix.Weight.GroupSize}, '{first.Value.Module}' of {first.Value.GroupSize}; wanted one size for all");
                tensors.AddRange(TensorSource.Parts(entry.Weight!, weight => Parts(IntegerMatrix.Find(new CheckpointEntry(entry.Name, weight), Method)!)));
            }
            else
            {
                tensors.Add(TensorSource.Plain(entry, dense));
                if (entry.Weight is not null && entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal))
                    plain.Add(entry.Name[..^QuantizedCheckpoint.WeightSuffix.Length]);
            }
        return (tensors.DrainToImmutable(), first is null ? null : new AwqConfig(first.Value.GroupSize, [.. plain]));
    }

    /// <summary>Throws unless the format has a place for a matrix.</summary>
    internal static void Check(IntegerMatrix matrix)
    {
        if (matrix.Weight.Bits != AwqConfig.Bits)
            throw matrix.Error(Method, $"has codes of {matrix.Weight.Bits} bits, wanted {AwqConfig.Bits}");
        if (matrix.Order is not null)
            throw matrix.Error(Method, "has inputs out of order, which AWQ has no place for; write GPTQ");
        if (matrix.Weight.Rows % AwqLayout.PerWord != 0)
            throw matrix.Error(Method, $"has {matrix.Weight.Rows} outputs, wanted a multiple of {AwqLayout.PerWord}");
        matrix.CheckGroups(Method);
        matrix.CheckScales(Method);
    }

    // qweight [in, out / 8], qzeros [groups, out / 8], scales [groups, out].
    static IEnumerable<TensorSource> Parts(IntegerMatrix matrix)
    {
        Check(matrix);
        IntWeight weight = matrix.Weight;
        (int outputs, int inputs, int groups) = (weight.Rows, weight.Columns, weight.GroupsPerRow);
        yield return TensorSource.Columns<uint>(matrix.Module + ".qweight", DType.I32, inputs, outputs / AwqLayout.PerWord, (first, count, band) =>
        {
            byte[] codes = ArrayPool<byte>.Shared.Rent(band.Length * AwqLayout.PerWord);
            weight.UnpackCodes(first * AwqLayout.PerWord, codes.AsSpan(0, band.Length * AwqLayout.PerWord));
            AwqLayout.Pack(codes, inputs, count * AwqLayout.PerWord, band);
            ArrayPool<byte>.Shared.Return(codes);
        });
        yield return TensorSource.Made(matrix.Module + ".qzeros", DType.I32, [groups, outputs / AwqLayout.PerWord], () =>
        {
            uint[] words = new uint[groups * (outputs / AwqLayout.PerWord)];
            AwqLayout.Pack(matrix.Zeros(), groups, outputs, words);
            return words;
        });
        yield return TensorSource.Made(matrix.Module + ".scales", DType.F16, [groups, outputs], () => GptqLayout.Transpose(weight.Scales, outputs, groups));
    }
}

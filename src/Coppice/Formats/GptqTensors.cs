using System.Buffers;
using System.Collections.Immutable;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>Writes integer matrices as GPTQ's readers want them; everything else as plain tensors.</summary>
public static class GptqTensors
{
    /// <summary>The tensors of a model's safetensors, and what its config.json has to say of them: null where nothing is quantized.</summary>
    /// <param name="entries">Named as Hugging Face names them: <c>model.layers.0.mlp.up_proj.weight</c>.</param>
    /// <param name="dense">For matrices without a type of their own in the format, and for vectors: F32, F16 or BF16.</param>
    /// <param name="version">How zero points are written; by default <see cref="GptqVersion.V1"/>, which more readers know, unless a zero point is 0, for which it has no place.</param>
    /// <exception cref="CoppiceException">The format has no place for a matrix: another width than 2, 3, 4 or 8 bits, or sizes that are no whole number of words or groups.</exception>
    public static (ImmutableArray<TensorSource> Tensors, GptqConfig? Config) Encode(IReadOnlyCollection<CheckpointEntry> entries, DType dense, GptqVersion? version = null)
    {
        List<Packed> matrices = [];
        ImmutableArray<TensorSource>.Builder tensors = ImmutableArray.CreateBuilder<TensorSource>();
        List<string> plain = [];
        foreach (CheckpointEntry entry in entries)
            if (IntegerMatrix.Find(entry, Method) is { } matrix)
                matrices.Add(new Packed(entry, matrix.Module, matrix.Weight.Bits, matrix.Weight.GroupSize, matrix.Weight.IsSymmetric, matrix.Order is not null, matrix.Weight.Zeros.Contains((byte)0)));
            else
            {
                tensors.Add(TensorSource.Plain(entry, dense));
                if (entry.Weight is not null && entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal))
                    plain.Add(entry.Name[..^QuantizedCheckpoint.WeightSuffix.Length]);
            }
        if (matrices.Count == 0)
            return (tensors.DrainToImmutable(), null);
        GptqVersion chosen = version ?? (matrices.Any(matrix => matrix.HasZeroAtCodeZero) ? GptqVersion.V2 : GptqVersion.V1);
        foreach (Packed matrix in matrices)
            tensors.AddRange(TensorSource.Parts(matrix.Entry.Weight!, weight => Parts(IntegerMatrix.Find(new CheckpointEntry(matrix.Entry.Name, weight), Method)!, chosen)));
        return (tensors.DrainToImmutable(), Config(matrices, plain, chosen));
    }

    const string Method = "GPTQ";

    // What the config has to know of a matrix, which need not stay in memory for it.
    sealed record Packed(CheckpointEntry Entry, string Module, int Bits, int GroupSize, bool IsSymmetric, bool IsOrdered, bool HasZeroAtCodeZero);

    static GptqConfig Config(List<Packed> matrices, List<string> plain, GptqVersion version)
    {
        // What most matrices have is said once.
        (int bits, int groupSize) = matrices.GroupBy(matrix => (matrix.Bits, matrix.GroupSize)).MaxBy(alike => alike.Count())!.Key;
        return new GptqConfig(bits, groupSize, matrices.All(matrix => matrix.IsSymmetric), matrices.Any(matrix => matrix.IsOrdered), version)
        {
            Overrides =
            [
                .. matrices.Where(matrix => (matrix.Bits, matrix.GroupSize) != (bits, groupSize))
                    .Select(matrix => new GptqOverride(System.Text.RegularExpressions.Regex.Escape(matrix.Module) + "$", matrix.Bits, matrix.GroupSize)),
            ],
            Ignore = [.. plain],
            Head = matrices.Any(matrix => matrix.Module == "lm_head"),
        };
    }

    /// <summary>Throws unless the format has a place for a matrix.</summary>
    internal static void Check(IntegerMatrix matrix)
    {
        (int outputs, int inputs, int bits) = (matrix.Weight.Rows, matrix.Weight.Columns, matrix.Weight.Bits);
        if (bits is not (2 or 3 or 4 or 8))
            throw matrix.Error(Method, $"has codes of {bits} bits, wanted 2, 3, 4 or 8");
        // Codes of 3 bits fill three words at 32 of them.
        int whole = bits == 3 ? 32 : 32 / bits;
        if (outputs % whole != 0 || inputs % whole != 0)
            throw matrix.Error(Method, $"is [{outputs}, {inputs}], wanted multiples of {whole}");
        matrix.CheckGroups(Method);
        matrix.CheckScales(Method);
    }

    // qweight [in bits / 32, out], qzeros [groups, out bits / 32], scales [groups, out], g_idx [in].
    static IEnumerable<TensorSource> Parts(IntegerMatrix matrix, GptqVersion version)
    {
        Check(matrix);
        IntWeight weight = matrix.Weight;
        if (version == GptqVersion.V1 && weight.Zeros.Contains((byte)0))
            throw matrix.Error(Method, "has the zero point 0, which gptq's first version has no place for; write gptq_v2");
        ReadOnlyMemory<uint> words = matrix.Words;
        (int outputs, int inputs, int bits, int groups) = (weight.Rows, weight.Columns, weight.Bits, weight.GroupsPerRow);
        int group = weight.GroupSize == IntWeight.WholeRow ? Math.Max(inputs, 1) : weight.GroupSize, wordsPerRow = (int)Words(inputs);
        yield return TensorSource.Columns<uint>(matrix.Module + ".qweight", DType.I32, wordsPerRow, outputs, (first, count, band) =>
        {
            uint[] rows = ArrayPool<uint>.Shared.Rent(band.Length);
            FileRun.Copy(words, first * wordsPerRow, rows.AsSpan(0, band.Length));
            GptqLayout.Transpose<uint>(rows.AsSpan(0, band.Length), count, wordsPerRow, band);
            ArrayPool<uint>.Shared.Return(rows);
        });
        yield return TensorSource.Made(matrix.Module + ".qzeros", DType.I32, [groups, Words(outputs)], () => GptqLayout.PackZeros(Zeros(matrix, version), bits, outputs, groups));
        yield return TensorSource.Made(matrix.Module + ".scales", DType.F16, [groups, outputs], () => GptqLayout.Transpose(weight.Scales, outputs, groups));
        yield return TensorSource.Made(matrix.Module + ".g_idx", DType.I32, [inputs], () => matrix.Order is { } sorted ? ActOrder.GroupsOf(sorted, group) : [.. Enumerable.Range(0, inputs).Select(input => input / group)]);

        long Words(int codes) => (long)codes * bits / 32;
    }

    static byte[] Zeros(IntegerMatrix matrix, GptqVersion version)
    {
        byte[] zeros = matrix.Zeros();
        if (version == GptqVersion.V1)
            foreach (ref byte zero in zeros.AsSpan())
                zero--;
        return zeros;
    }
}

using System.Buffers;
using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A container whose linear layers are stored as GPTQ's writers store them: <c>qweight</c>, <c>qzeros</c>, <c>scales</c>, and <c>g_idx</c> where inputs were grouped out of order.</summary>
sealed class GptqCheckpoint(TensorContainer tensors, GptqConfig config) : QuantizedCheckpoint(tensors, FindParts(tensors), "qweight", "qzeros", "scales", "g_idx")
{
    const string Codes = ".qweight";

    internal static Dictionary<string, string> FindParts(TensorContainer tensors)
    {
        Dictionary<string, string> parts = new(StringComparer.Ordinal);
        foreach (string name in tensors.Names)
            if (name.EndsWith(Codes, StringComparison.Ordinal))
                parts[name[..^Codes.Length] + WeightSuffix] = name[..^Codes.Length];
        return parts;
    }

    private protected override (int Rows, int Columns) SizesOf(string prefix)
    {
        TensorEntry codes = ExpectWords(prefix + Codes);
        int bits = config.For(prefix).Bits;
        return codes.Shape[0] <= Array.MaxLength && codes.Shape[0] * 32 % bits == 0
            ? Checked(codes, codes.Shape[1], codes.Shape[0] * 32 / bits)
            : throw codes.Error($"has {codes.Shape[0]:N0} rows of words, which hold no whole number of codes of {bits} bits");
    }

    private protected override Weight ReadParts(string prefix)
    {
        (int outputs, int inputs) = SizesOf(prefix);
        (int bits, int groupSize) = config.For(prefix);
        int group = groupSize == IntWeight.WholeRow ? Math.Max(inputs, 1) : groupSize, groups = (inputs + group - 1) / group;
        TensorEntry codes = Tensors.Find(prefix + Codes);
        int wordsPerRow = BitPacking.Words(inputs, bits);
        ReadOnlyMemory<uint> words = new DeferredMemory<uint>(outputs, wordsPerRow, (firstRow, rows) =>
        {
            uint[] buffer = ArrayPool<uint>.Shared.Rent(rows.Length);
            Span<uint> columns = buffer.AsSpan(0, rows.Length);
            codes.ReadColumns(outputs, firstRow, rows.Length / wordsPerRow, columns);
            GptqLayout.Transpose<uint>(columns, wordsPerRow, rows.Length / wordsPerRow, rows);
            ArrayPool<uint>.Shared.Return(buffer);
        }).Memory;
        float[] scales = GptqLayout.Transpose<float>(ReadScales(prefix + ".scales", groups, outputs), groups, outputs);
        return Integers(bits, groupSize, outputs, inputs, words, scales, ReadZeros(prefix, bits, outputs, groups), ReadOrder(prefix + ".g_idx", inputs, group));
    }

    // Null where all are the middle.
    byte[]? ReadZeros(string prefix, int bits, int outputs, int groups)
    {
        int wordsPerRow = BitPacking.Words(outputs, bits);
        TensorEntry entry = Expect(prefix + ".qzeros", DType.I32, groups, wordsPerRow);
        uint[] words = Read<uint>(entry);
        byte middle = (byte)(1 << bits - 1);
        byte[] zeros;
        if (config.Version == GptqVersion.V2)
            zeros = Unpack();
        else if (bits != 3)
        {
            GptqLayout.AddOnes(words, bits);
            zeros = Unpack();
        }
        else
        {
            zeros = Unpack();
            GptqLayout.AddOnes(zeros);
            // Of symmetric zero points it is plain who wrote them; of others only the file's own word tells.
            if (config.Symmetric ? !IsMiddle() : config.Quantizers.Any(name => name.StartsWith("gptqmodel", StringComparison.OrdinalIgnoreCase)))
            {
                GptqLayout.AddGptqModelOffsets(words, wordsPerRow);
                zeros = Unpack();
            }
        }
        if (IsMiddle())
            return null;
        return config.Symmetric ? throw entry.Error($"holds zero points other than {middle}, but the config says sym") : zeros;

        byte[] Unpack() => GptqLayout.UnpackZeros(words, bits, outputs, groups);

        bool IsMiddle() => zeros.AsSpan().IndexOfAnyExcept(middle) < 0;
    }
}

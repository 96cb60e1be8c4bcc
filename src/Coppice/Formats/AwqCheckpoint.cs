using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A container whose linear layers are stored as AutoAWQ stores them for matrix products: <c>qweight</c>, <c>qzeros</c> and <c>scales</c>, 4 bits.</summary>
sealed class AwqCheckpoint(TensorContainer tensors, AwqConfig config) : QuantizedCheckpoint(tensors, GptqCheckpoint.FindParts(tensors), "qweight", "qzeros", "scales")
{
    private protected override (int Rows, int Columns) SizesOf(string prefix)
    {
        TensorEntry codes = ExpectWords(prefix + ".qweight");
        return codes.Shape[1] <= Array.MaxLength ? Checked(codes, codes.Shape[1] * AwqLayout.PerWord, codes.Shape[0]) : throw codes.Error($"has {codes.Shape[1]:N0} columns of words");
    }

    private protected override Weight ReadParts(string prefix)
    {
        (int outputs, int inputs) = SizesOf(prefix);
        int group = config.GroupSize == IntWeight.WholeRow ? Math.Max(inputs, 1) : config.GroupSize;
        if (inputs % group != 0)
            throw Tensors.Find(prefix + ".qweight").Error($"has {inputs} inputs, wanted a multiple of the group size {group}");
        int groups = inputs / group;
        float[] scales = GptqLayout.Transpose<float>(ReadScales(prefix + ".scales", groups, outputs), groups, outputs);
        byte[] zeros = new byte[outputs * groups];
        AwqLayout.Unpack(Read<uint>(Expect(prefix + ".qzeros", DType.I32, groups, outputs / AwqLayout.PerWord)), groups, outputs, zeros);
        TensorEntry codes = Tensors.Find(prefix + ".qweight");
        int wordsPerRow = BitPacking.Words(inputs, AwqConfig.Bits);
        // A word holds eight outputs: those that are not asked for are left out.
        ReadOnlyMemory<uint> words = new DeferredMemory<uint>(outputs, wordsPerRow, (firstRow, rows) =>
        {
            int first = firstRow / AwqLayout.PerWord, end = (firstRow + rows.Length / wordsPerRow + AwqLayout.PerWord - 1) / AwqLayout.PerWord;
            uint[] columns = new uint[inputs * (end - first)];
            codes.ReadColumns<uint>(outputs / AwqLayout.PerWord, first, end - first, columns);
            AwqLayout.ToRows(columns, inputs, (end - first) * AwqLayout.PerWord).AsSpan(firstRow % AwqLayout.PerWord * wordsPerRow, rows.Length).CopyTo(rows);
        }).Memory;
        bool symmetric = zeros.AsSpan().IndexOfAnyExcept((byte)(1 << AwqConfig.Bits - 1)) < 0;
        return IntWeight.FromWords(AwqConfig.Bits, config.GroupSize, outputs, inputs, words, scales, symmetric ? null : zeros);
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Packed matrices as tensors of a journal's file, bit for bit; the kind is told by the parts' names.</summary>
internal static class JournalWeights
{
    /// <summary>The parts of a matrix.</summary>
    public static IEnumerable<TensorSource> Parts(string name, Weight weight) => weight switch
    {
        HalfWeight half => [TensorSource.Dense($"{name}.half", half.Format == HalfFormat.Float16 ? DType.F16 : DType.BF16, half)],
        SparseWeight sparse =>
        [
            Part($"{name}.sparse.mask", DType.U8, sparse.Mask, sparse.Rows),
            TensorSource.Raw($"{name}.sparse.kept", DType.F16, [sparse.Kept.Length], sparse.Kept.ToArray()),
            Sizes($"{name}.sparse.sizes", sparse.Rows, sparse.Columns),
        ],
        TwoFourWeight twoFour =>
        [
            Part($"{name}.twoFour.mask", DType.U8, twoFour.Mask, twoFour.Rows),
            Part($"{name}.twoFour.kept", DType.F16, twoFour.Kept, twoFour.Rows),
        ],
        TwoFourIntWeight twoFourInt => [Part($"{name}.twoFourInt.mask", DType.U8, twoFourInt.Mask, twoFourInt.Rows), .. IntParts($"{name}.twoFourInt", twoFourInt.Kept)],
        IntWeight { HasWideScales: false } ints => IntParts($"{name}.int", ints),
        BlockWeight blocks => [Part($"{name}.{blocks.Kind}", DType.U8, blocks.Bytes, blocks.Rows)],
        _ => throw new ArgumentException($"Journal: {name} is stored as {weight.Kind}, which a journal cannot keep"),
    };

    /// <summary>The matrix of that name and shape, or null where the file has none.</summary>
    public static Weight? Read(SafeTensors file, string name, int rows, int columns)
    {
        if (Has("half"))
            return file.ReadWeight($"{name}.half");
        if (Has("sparse.mask"))
            return new SparseWeight(rows, columns, Read<byte>("sparse.mask"), Read<Half>("sparse.kept"));
        if (Has("twoFour.mask"))
            return new TwoFourWeight(rows, columns, Read<byte>("twoFour.mask"), Read<Half>("twoFour.kept"));
        if (Has("twoFourInt.mask"))
            return new TwoFourIntWeight(Read<byte>("twoFourInt.mask"), Ints("twoFourInt"));
        if (Has("int.words"))
            return Ints("int");
        return BlockFormat.All.FirstOrDefault(format => Has(format.Name)) is { } blocks ? blocks.Read(rows, columns, new Blocks(file, $"{name}.{blocks}")) : null;

        bool Has(string part) => file.Entries.ContainsKey($"{name}.{part}");

        IntWeight Ints(string part)
        {
            int[] sizes = Read<int>($"{part}.sizes");
            return IntWeight.FromWords(sizes[0], sizes[1], sizes[2], sizes[3], Read<uint>($"{part}.words"), Read<Half>($"{part}.scales"), Has($"{part}.zeros") ? Read<byte>($"{part}.zeros") : null);
        }

        T[] Read<T>(string part) where T : unmanaged => ReadPart<T>(file, $"{name}.{part}");
    }

    static T[] ReadPart<T>(SafeTensors file, string part) where T : unmanaged
    {
        TensorEntry entry = file.Find(part);
        T[] values = new T[entry.ByteCount / Unsafe.SizeOf<T>()];
        entry.ReadBytes(0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    sealed class Blocks(SafeTensors file, string part) : IBlockSource
    {
        public ReadOnlyMemory<TBlock> Read<TBlock>() where TBlock : unmanaged, IBlock<TBlock> => ReadPart<TBlock>(file, part);
    }

    static IEnumerable<TensorSource> IntParts(string name, IntWeight ints)
    {
        yield return TensorSource.Raw($"{name}.words", DType.U32, [ints.Words.Length], ints.Words.ToArray());
        yield return Part($"{name}.scales", DType.F16, ints.Scales, ints.Rows);
        if (!ints.IsSymmetric)
            yield return Part($"{name}.zeros", DType.U8, ints.Zeros, ints.Rows);
        yield return Sizes($"{name}.sizes", ints.Bits, ints.GroupSize, ints.Rows, ints.Columns);
    }

    static TensorSource Sizes(string name, params int[] sizes) => TensorSource.Raw(name, DType.I32, [sizes.Length], sizes);

    static TensorSource Part<T>(string name, DType type, ReadOnlySpan<T> values, int rows) where T : unmanaged =>
        TensorSource.Raw(name, type, [rows, values.Length / rows], values.ToArray());
}

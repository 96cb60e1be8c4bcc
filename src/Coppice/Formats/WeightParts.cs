using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Formats;

/// <summary>Packed matrices as tensors, bit for bit; the kind is told by the parts' names. A journal keeps them so, and a folder whose grids no other program has.</summary>
internal static class WeightParts
{
    // Where a matrix has it: its last two numbers are rows and columns, of which half are kept where two of four are.
    public const string Sizes = "sizes";

    /// <summary>The kinds that say their own sizes, by the names of their parts' groups, each with all parts that it may have.</summary>
    public static IReadOnlyList<(string Kind, string[] Parts)> Sized { get; } =
    [
        ("sparse", ["mask", "kept"]), ("twoFour", ["mask", "kept"]), ("twoFourInt", ["mask", "words", "scales", "zeros"]), ("int", ["words", "scales", "wideScales", "zeros"]),
        ("int16", ["codes", "scales"]), ("levels", ["words", "scales", "table"]), ("float8", ["bits", "scales"]), ("haar", ["int.words", "int.scales", "int.zeros", "int.sizes"]),
    ];

    /// <summary>Rows and columns by <see cref="Sizes"/> of a kind.</summary>
    public static (long Rows, long Columns) SizesFrom(string kind, ReadOnlySpan<int> sizes) => (sizes[^2], sizes[^1] * (kind == "twoFourInt" ? 2L : 1));

    /// <summary>Whether a matrix has parts that say their own sizes.</summary>
    public static bool IsSized(Weight weight) => weight is SparseWeight or TwoFourWeight or TwoFourIntWeight or IntWeight or Int16Weight or LevelWeight or Float8Weight or WaveletWeight;

    /// <summary>The parts of a matrix.</summary>
    public static IEnumerable<TensorSource> Of(string name, Weight weight) => weight switch
    {
        HalfWeight half => [TensorSource.Dense($"{name}.half", half.Format == HalfFormat.Float16 ? DType.F16 : DType.BF16, half)],
        SparseWeight sparse =>
        [
            Part($"{name}.sparse.mask", DType.U8, sparse.Mask, sparse.Rows),
            TensorSource.Raw($"{name}.sparse.kept", DType.F16, [sparse.Kept.Length], sparse.Kept.ToArray()),
            SizesOf($"{name}.sparse", sparse.Rows, sparse.Columns),
        ],
        TwoFourWeight twoFour =>
        [
            Part($"{name}.twoFour.mask", DType.U8, twoFour.Mask, twoFour.Rows),
            Part($"{name}.twoFour.kept", DType.F16, twoFour.Kept, twoFour.Rows),
            SizesOf($"{name}.twoFour", twoFour.Rows, twoFour.Columns),
        ],
        TwoFourIntWeight twoFourInt => [Part($"{name}.twoFourInt.mask", DType.U8, twoFourInt.Mask, twoFourInt.Rows), .. IntParts($"{name}.twoFourInt", twoFourInt.Kept)],
        IntWeight ints => IntParts($"{name}.int", ints),
        Int16Weight wide =>
        [
            Part($"{name}.int16.codes", DType.I16, wide.Codes, wide.Rows),
            TensorSource.Raw($"{name}.int16.scales", DType.F32, [wide.Scales.Length], wide.Scales.ToArray()),
            SizesOf($"{name}.int16", wide.Rows, wide.Columns),
        ],
        LevelWeight levels =>
        [
            Part($"{name}.levels.words", DType.U32, levels.Words, levels.Rows),
            ScalesOf($"{name}.levels.scales", levels),
            TensorSource.Raw($"{name}.levels.table", DType.F32, [levels.Table.Count], levels.Table.Levels.ToArray()),
            SizesOf($"{name}.levels", levels.GroupSize, levels.Rows, levels.Columns),
        ],
        Float8Weight narrow =>
        [
            TensorSource.Made($"{name}.float8.bits", narrow.Format == Float8Format.E4M3 ? DType.F8_E4M3 : DType.F8_E5M2, [narrow.Rows, narrow.Columns], () => narrow.Bits.ToArray()),
            TensorSource.Raw($"{name}.float8.scales", DType.F32, [narrow.Scales.Length], narrow.Scales.ToArray()),
            SizesOf($"{name}.float8", narrow.Rows, narrow.Columns),
        ],
        WaveletWeight wavelet => [.. IntParts($"{name}.haar.int", wavelet.Coefficients), SizesOf($"{name}.haar", wavelet.Length, wavelet.Rows, wavelet.Columns)],
        BlockWeight blocks => [Part($"{name}.{blocks.Kind}", DType.U8, blocks.Bytes, blocks.Rows)],
        _ => throw new CoppiceException($"{name} is stored as {weight.Kind}, which has no parts of its own to be kept in"),
    };

    /// <summary>The matrix of that name and shape, or null where the container has none.</summary>
    /// <exception cref="CoppiceException">Its parts do not fit one another.</exception>
    public static Weight? Read(TensorContainer file, string name, int rows, int columns)
    {
        try
        {
            return ReadParts(file, name, rows, columns);
        }
        catch (ArgumentException error)
        {
            throw FormatError.At(file.Path, $"tensor '{name}': {error.Message}", error);
        }
    }

    static Weight? ReadParts(TensorContainer file, string name, int rows, int columns)
    {
        if (Has("half"))
            return file.ReadWeight($"{name}.half");
        if (Has("sparse.mask"))
            return new SparseWeight(rows, columns, Read<byte>("sparse.mask", DType.U8), Read<Half>("sparse.kept", DType.F16));
        if (Has("twoFour.mask"))
            return new TwoFourWeight(rows, columns, Read<byte>("twoFour.mask", DType.U8), Read<Half>("twoFour.kept", DType.F16));
        if (Has("twoFourInt.mask"))
            return new TwoFourIntWeight(Read<byte>("twoFourInt.mask", DType.U8), Ints("twoFourInt"));
        if (Has("int.words"))
            return Ints("int");
        if (Has("int16.codes"))
            return new Int16Weight(rows, columns, Read<short>("int16.codes", DType.I16), Finite("int16.scales", Read<float>("int16.scales", DType.F32)));
        if (Has("levels.words"))
            return Levels();
        if (Has("float8.bits"))
            return Float8();
        if (Has("haar.int.words"))
            return new WaveletWeight(Ints("haar.int"), SizesAt("haar", 3)[0]);
        return BlockFormat.All.FirstOrDefault(format => Has(format.Name)) is { } blocks ? blocks.Read(rows, columns, new Blocks(file, $"{name}.{blocks}")) : null;

        bool Has(string part) => file.Entries.ContainsKey($"{name}.{part}");

        T[] Read<T>(string part, DType type) where T : unmanaged => WeightParts.Read<T>(file.Find($"{name}.{part}"), type);

        int[] SizesAt(string part, int count) => Read<int>($"{part}.{Sizes}", DType.I32) is var sizes && sizes.Length == count ? sizes : throw file.Find($"{name}.{part}.{Sizes}").Error($"holds {sizes.Length} numbers, wanted {count}");

        IntWeight Ints(string part)
        {
            int[] sizes = SizesAt(part, 4);
            uint[] words = Read<uint>($"{part}.words", DType.U32);
            byte[]? zeros = Has($"{part}.zeros") ? Read<byte>($"{part}.zeros", DType.U8) : null;
            return Has($"{part}.wideScales")
                ? IntWeight.FromWords(sizes[0], sizes[1], sizes[2], sizes[3], words, Finite($"{part}.wideScales", Read<float>($"{part}.wideScales", DType.F32)), zeros)
                : IntWeight.FromWords(sizes[0], sizes[1], sizes[2], sizes[3], words, Read<Half>($"{part}.scales", DType.F16), zeros);
        }

        LevelWeight Levels()
        {
            TensorEntry scales = file.Find($"{name}.levels.scales");
            (ScaleType type, float[] values) = scales.DType switch
            {
                DType.F16 => (ScaleType.Float16, Array.ConvertAll(Read<Half>("levels.scales", DType.F16), scale => (float)scale)),
                DType.F32 => (ScaleType.Float32, Read<float>("levels.scales", DType.F32)),
                _ => (ScaleType.PowerOfTwo, Array.ConvertAll(Read<byte>("levels.scales", DType.U8), power => MathF.ScaleB(1, power - 127))),
            };
            LevelTable table = LevelTables.Known(Read<float>("levels.table", DType.F32));
            return new LevelWeight(table, type, SizesAt("levels", 3)[0], rows, columns, Read<uint>("levels.words", DType.U32), values);
        }

        Float8Weight Float8()
        {
            Float8Format format = file.Find($"{name}.float8.bits").DType == DType.F8_E5M2 ? Float8Format.E5M2 : Float8Format.E4M3;
            byte[] bits = Read<byte>("float8.bits", format == Float8Format.E4M3 ? DType.F8_E4M3 : DType.F8_E5M2);
            if (Weights.Float8.IndexOfNonFinite(format, bits) is >= 0 and int wrong)
                throw file.Find($"{name}.float8.bits").Error($"holds a number that is not finite at {wrong:N0}; the model is damaged");
            return new Float8Weight(format, rows, columns, bits, Finite("float8.scales", Read<float>("float8.scales", DType.F32)));
        }

        float[] Finite(string part, float[] scales) => HalfConversion.IndexOfNonFinite(scales) < 0 ? scales : throw file.Find($"{name}.{part}").Error("holds a scale that is not finite; the model is damaged");
    }

    static T[] Read<T>(TensorEntry entry, DType type) where T : unmanaged
    {
        if (entry.DType != type)
            throw entry.Error($"is {entry.DType}, wanted {type}");
        T[] values = new T[entry.ByteCount / Unsafe.SizeOf<T>()];
        entry.ReadBytes(0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    sealed class Blocks(TensorContainer file, string part) : IBlockSource
    {
        public ReadOnlyMemory<TBlock> Read<TBlock>() where TBlock : unmanaged, IBlock<TBlock>
        {
            TensorEntry entry = file.Find(part);
            TBlock[] values = new TBlock[entry.ByteCount / Unsafe.SizeOf<TBlock>()];
            entry.ReadBytes(0, MemoryMarshal.AsBytes(values.AsSpan()));
            return values;
        }
    }

    static IEnumerable<TensorSource> IntParts(string name, IntWeight ints)
    {
        yield return TensorSource.Raw($"{name}.words", DType.U32, [ints.Words.Length], ints.Words.ToArray());
        yield return ints.HasWideScales ? Part($"{name}.wideScales", DType.F32, ints.WideScales, ints.Rows) : Part($"{name}.scales", DType.F16, ints.Scales, ints.Rows);
        if (!ints.IsSymmetric)
            yield return Part($"{name}.zeros", DType.U8, ints.Zeros, ints.Rows);
        yield return SizesOf(name, ints.Bits, ints.GroupSize, ints.Rows, ints.Columns);
    }

    static TensorSource ScalesOf(string name, LevelWeight levels) => levels.ScaleType switch
    {
        ScaleType.Float16 => Part<Half>(name, DType.F16, Array.ConvertAll(levels.Scales.ToArray(), scale => (Half)scale), levels.Rows),
        ScaleType.Float32 => Part(name, DType.F32, levels.Scales, levels.Rows),
        _ => Part<byte>(name, DType.U8, Array.ConvertAll(levels.Scales.ToArray(), scale => (byte)(MathF.ILogB(scale) + 127)), levels.Rows),
    };

    static TensorSource SizesOf(string name, params int[] sizes) => TensorSource.Raw($"{name}.{Sizes}", DType.I32, [sizes.Length], sizes);

    static TensorSource Part<T>(string name, DType type, ReadOnlySpan<T> values, int rows) where T : unmanaged =>
        TensorSource.Raw(name, type, [rows, rows == 0 ? 0 : values.Length / rows], values.ToArray());
}

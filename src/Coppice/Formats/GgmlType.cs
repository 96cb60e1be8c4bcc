using System.Collections.Immutable;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Formats;

/// <summary>How a GGUF file stores a tensor: blocks of values, each of some bytes. Files with any of these open; <see cref="Gguf.ReadWeight"/> reads F32, F16, BF16 and those that have <see cref="Blocks"/>.</summary>
/// <param name="Id">The number in the file.</param>
/// <param name="Name">llama.cpp's name.</param>
/// <param name="BlockSize">Values in a block.</param>
/// <param name="BlockBytes">Bytes of a block.</param>
public sealed record GgmlType(int Id, string Name, int BlockSize, int BlockBytes)
{
    /// <summary>IEEE single.</summary>
    public static GgmlType F32 { get; } = new(0, "F32", 1, 4);

    /// <summary>IEEE half.</summary>
    public static GgmlType F16 { get; } = new(1, "F16", 1, 2);

    /// <summary>The upper half of an IEEE single.</summary>
    public static GgmlType BF16 { get; } = new(30, "BF16", 1, 2);

    /// <summary>Blocks of 32 with 8 bits a value.</summary>
    public static GgmlType Q8_0 { get; } = Of<Q8_0>(8);

    /// <summary>Blocks of 32 with 4 bits a value.</summary>
    public static GgmlType Q4_0 { get; } = Of<Q4_0>(2);

    /// <summary>Blocks of 256 with 4 bits a value, and a scale and a minimum for each 32.</summary>
    public static GgmlType Q4_K { get; } = Of<Q4_K>(12);

    /// <summary>Blocks of 256 with 6 bits a value and a scale for each 16.</summary>
    public static GgmlType Q6_K { get; } = Of<Q6_K>(14);

    /// <summary>All types that are known by their size.</summary>
    public static ImmutableArray<GgmlType> All { get; } =
    [
        F32, F16, BF16, Q8_0, Q4_0, Of<Q4_1>(3), Of<Q5_0>(6), Of<Q5_1>(7), Of<Q2_K>(10), Of<Q3_K>(11), Q4_K, Of<Q5_K>(13), Q6_K, Of<IQ4_NL>(20), Of<IQ4_XS>(23), Of<MXFP4>(39),
        Of<IQ2_XXS>(16), Of<IQ2_XS>(17), Of<IQ2_S>(22), Of<IQ3_XXS>(18), Of<IQ3_S>(21),
        new(9, "Q8_1", 32, 36), new(15, "Q8_K", 256, 292),
        new(19, "IQ1_S", 256, 50), new(29, "IQ1_M", 256, 56),
        new(24, "I8", 1, 1), new(25, "I16", 1, 2), new(26, "I32", 1, 4), new(27, "I64", 1, 8), new(28, "F64", 1, 8),
        new(34, "TQ1_0", 256, 54), new(35, "TQ2_0", 256, 66), new(40, "NVFP4", 64, 36),
    ];

    /// <summary>The types that are read and written, for messages.</summary>
    internal static string Readable { get; } = string.Join(", ", All.Where(type => type.IsReadable));

    /// <summary>The block type whose numbers these are; null for single numbers, and where Coppice reads none.</summary>
    public BlockFormat? Blocks { get; private init; }

    /// <summary>Whether the numbers are read and written.</summary>
    internal bool IsReadable => Blocks is not null || this == F32 || this == F16 || this == BF16;

    /// <summary>The type that stores such blocks.</summary>
    public static GgmlType Of(BlockFormat blocks) => All.First(type => type.Blocks == blocks);

    static GgmlType Of<TBlock>(int id) where TBlock : unmanaged, IBlock<TBlock>
    {
        BlockFormat blocks = BlockFormat.Of<TBlock>();
        return new GgmlType(id, blocks.Name.ToUpperInvariant(), blocks.Size, blocks.ByteCount) { Blocks = blocks };
    }

    /// <summary>The type of a number in a file, or null.</summary>
    public static GgmlType? Find(int id) => All.FirstOrDefault(type => type.Id == id);

    /// <inheritdoc/>
    public override string ToString() => Name;
}

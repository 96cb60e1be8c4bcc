using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>One of llama.cpp's block types, for whoever learns only from a file or an option which it is.</summary>
public abstract class BlockFormat
{
    private protected BlockFormat()
    {
    }

    /// <summary>The format's short name: <c>q8_0</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Weights in a block.</summary>
    public abstract int Size { get; }

    /// <summary>Bytes of a block.</summary>
    public abstract int ByteCount { get; }

    /// <summary>Stored bits a weight, scales included.</summary>
    public double BitsPerWeight => 8.0 * ByteCount / Size;

    /// <summary>Every block type that is read, written and multiplied; to add one is to add its struct here.</summary>
    public static ImmutableArray<BlockFormat> All { get; } =
    [
        Of<Q8_0>(), Of<Q4_0>(), Of<Q4_1>(), Of<Q5_0>(), Of<Q5_1>(), Of<Q2_K>(), Of<Q3_K>(), Of<Q4_K>(), Of<Q5_K>(), Of<Q6_K>(), Of<IQ4_NL>(), Of<IQ4_XS>(), Of<MXFP4>(),
        Of<IQ2_XXS>(), Of<IQ2_XS>(), Of<IQ2_S>(), Of<IQ3_XXS>(), Of<IQ3_S>(),
    ];

    /// <summary>The format of a block known when this is compiled.</summary>
    public static BlockFormat Of<TBlock>() where TBlock : unmanaged, IBlock<TBlock> => Typed<TBlock>.Instance;

    /// <summary>The format of that name, or null.</summary>
    public static BlockFormat? Find(string name) => All.FirstOrDefault(format => format.Name == name);

    /// <summary>What its numbers are made of.</summary>
    public abstract BlockShape Shape { get; }

    /// <summary>Finds the parts of one block: see <see cref="IBlock{TSelf}.Search"/>.</summary>
    internal abstract void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts);

    /// <summary>Blocks of parts that were found elsewhere.</summary>
    internal abstract BlockWeight Join(BlockGrid grid);

    /// <summary>Rounds finite numbers [outputs, inputs]; the same at any number of threads. Without a pool on the caller's alone.</summary>
    /// <exception cref="CoppiceException">The inputs are no multiple of the block size.</exception>
    public abstract BlockWeight Round(int rows, int columns, ReadOnlySpan<float> values, WorkerPool? pool = null);

    /// <summary>Wraps blocks that <paramref name="source"/> hands over.</summary>
    internal abstract BlockWeight Read(int rows, int columns, IBlockSource source);

    /// <summary>Rounds numbers to the bytes of whole blocks.</summary>
    internal abstract void Pack(ReadOnlySpan<float> values, Span<byte> blocks);

    /// <summary>The numbers that the bytes of whole blocks stand for.</summary>
    internal abstract void Unpack(ReadOnlySpan<byte> blocks, Span<float> values);

    /// <inheritdoc/>
    public sealed override string ToString() => Name;

    /// <summary>Rounds the numbers of one block by its search.</summary>
    internal static TBlock Pack<TBlock>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance = default) where TBlock : unmanaged, IBlock<TBlock>
    {
        int groups = TBlock.Size / TBlock.Shape.GroupSize;
        BlockParts parts = new(stackalloc Half[2], stackalloc sbyte[groups], stackalloc sbyte[groups], stackalloc byte[TBlock.Size]);
        TBlock.Search(values[..TBlock.Size], importance, parts);
        return TBlock.Join(parts);
    }

    sealed class Typed<TBlock> : BlockFormat where TBlock : unmanaged, IBlock<TBlock>
    {
        public static readonly BlockFormat Instance = new Typed<TBlock>();

        public override string Name => TBlock.Name;

        public override int Size => TBlock.Size;

        public override int ByteCount => Unsafe.SizeOf<TBlock>();

        public override BlockShape Shape => TBlock.Shape;

        internal override void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => TBlock.Search(values, importance, parts);

        internal override BlockWeight Join(BlockGrid grid)
        {
            TBlock[] blocks = GC.AllocateUninitializedArray<TBlock>(grid.Rows * (grid.Columns / Size));
            for (int i = 0; i < blocks.Length; i++)
                blocks[i] = TBlock.Join(grid.Parts(i));
            return new BlockWeight<TBlock>(grid.Rows, grid.Columns, blocks);
        }

        public override BlockWeight Round(int rows, int columns, ReadOnlySpan<float> values, WorkerPool? pool) => BlockWeight.From<TBlock>(rows, columns, values, pool);

        internal override BlockWeight Read(int rows, int columns, IBlockSource source) => new BlockWeight<TBlock>(rows, columns, source.Read<TBlock>());

        internal override void Pack(ReadOnlySpan<float> values, Span<byte> blocks) => TBlock.Pack(values, MemoryMarshal.Cast<byte, TBlock>(blocks));

        internal override void Unpack(ReadOnlySpan<byte> blocks, Span<float> values) => TBlock.Unpack(MemoryMarshal.Cast<byte, TBlock>(blocks), values);
    }
}

/// <summary>Where blocks lie, such as a tensor of a file.</summary>
internal interface IBlockSource
{
    /// <summary>All of them.</summary>
    ReadOnlyMemory<TBlock> Read<TBlock>() where TBlock : unmanaged, IBlock<TBlock>;
}

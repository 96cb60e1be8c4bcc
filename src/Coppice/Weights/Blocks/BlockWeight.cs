using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>A matrix kept as rows of llama.cpp's blocks, whichever.</summary>
public abstract class BlockWeight : PackedWeight
{
    // Numbers that a thread rounds at a time.
    const int PartNumbers = 1 << 16;

    private protected BlockWeight(int rows, int columns) : base(rows, columns)
    {
    }

    /// <summary>Which blocks.</summary>
    public abstract BlockFormat Format { get; }

    /// <summary>The blocks' bytes, row-major; perhaps a file's, mapped for as long as this weight is held.</summary>
    public abstract ReadOnlySpan<byte> Bytes { get; }

    /// <summary>Copies the bytes of whole rows from <paramref name="firstRow"/> on.</summary>
    internal abstract void ReadBytes(int firstRow, Span<byte> rows);

    /// <inheritdoc/>
    public sealed override long ByteCount => (long)Rows * Columns / Format.Size * Format.ByteCount;

    /// <inheritdoc/>
    public sealed override string Kind => Format.Name;

    /// <summary>Rounds finite numbers [outputs, inputs] to blocks; the same at any number of threads. Without a pool on the caller's alone.</summary>
    /// <exception cref="CoppiceException">The inputs are no multiple of the block size.</exception>
    public static BlockWeight<TBlock> From<TBlock>(int rows, int columns, ReadOnlySpan<float> values, WorkerPool? pool = null) where TBlock : unmanaged, IBlock<TBlock>
    {
        BlockWeight<TBlock>.CheckColumns(rows, columns);
        if (values.Length != (long)rows * columns)
            throw new ArgumentException($"BlockWeight: {values.Length} numbers for [{rows}, {columns}]");
        TBlock[] blocks = GC.AllocateUninitializedArray<TBlock>(values.Length / TBlock.Size);
        PackJob<TBlock> job = new() { Values = values, Blocks = blocks };
        int parts = (values.Length + PartNumbers - 1) / PartNumbers;
        if (pool is not null)
            pool.Run(parts, ref job);
        else
            for (int part = 0; part < parts; part++)
                job.Execute(part);
        return new BlockWeight<TBlock>(rows, columns, blocks);
    }

    ref struct PackJob<TBlock> : IJob where TBlock : unmanaged, IBlock<TBlock>
    {
        public ReadOnlySpan<float> Values;
        public Span<TBlock> Blocks;

        public void Execute(int part)
        {
            int first = part * (PartNumbers / TBlock.Size), count = Math.Min(PartNumbers / TBlock.Size, Blocks.Length - first);
            TBlock.Pack(Values.Slice(first * TBlock.Size, count * TBlock.Size), Blocks.Slice(first, count));
        }
    }
}

/// <summary>A matrix kept as rows of blocks of one type.</summary>
public sealed class BlockWeight<TBlock> : BlockWeight where TBlock : unmanaged, IBlock<TBlock>
{
    readonly ReadOnlyMemory<TBlock> blocks;

    /// <summary>Wraps (does not copy) blocks [outputs, inputs / block size], which may be made when they are asked for.</summary>
    /// <exception cref="CoppiceException">The inputs are no multiple of the block size.</exception>
    public BlockWeight(int rows, int columns, ReadOnlyMemory<TBlock> blocks) : base(rows, columns)
    {
        CheckColumns(rows, columns);
        if (blocks.Length != (long)rows * columns / TBlock.Size)
            throw new ArgumentException($"BlockWeight: {blocks.Length} {TBlock.Name} blocks for [{rows}, {columns}]");
        this.blocks = blocks;
    }

    /// <summary>The blocks, row-major; perhaps a file's, mapped for as long as this weight is held.</summary>
    public ReadOnlySpan<TBlock> Blocks => blocks.Span;

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes => MemoryMarshal.AsBytes(blocks.Span);

    /// <inheritdoc/>
    public override BlockFormat Format => BlockFormat.Of<TBlock>();

    private protected override PanelProduct Pack(WorkerPool pool) => TBlock.Panels(pool, Rows, Columns, blocks);

    /// <inheritdoc/>
    public override ActivationFormat Wants => TBlock.Wants;

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        int count = dense.Length / TBlock.Size;
        using FileRun<TBlock> run = new(blocks, count);
        TBlock.Unpack(run.Read(firstRow * (Columns / TBlock.Size), count), dense[..(count * TBlock.Size)]);
        GC.KeepAlive(this);
    }

    /// <summary>Copies blocks of whole rows from <paramref name="firstRow"/> on.</summary>
    internal void Read(int firstRow, Span<TBlock> rows) => FileRun.Copy(blocks, firstRow * (Columns / TBlock.Size), rows);

    internal override void ReadBytes(int firstRow, Span<byte> rows) => Read(firstRow, MemoryMarshal.Cast<byte, TBlock>(rows));

    internal override Weight StackWith(IReadOnlyList<Weight> parts) =>
        new BlockWeight<TBlock>(parts.Sum(part => part.Rows), Columns, DeferredMemory.Concat([.. parts.Select(part => ((BlockWeight<TBlock>)part).blocks)], Columns / TBlock.Size));

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order) => new BlockWeight<TBlock>(order.Length, Columns, DeferredMemory.Reorder(blocks, Columns / TBlock.Size, order));

    internal static void CheckColumns(int rows, int columns)
    {
        if (columns % TBlock.Size != 0)
            throw new CoppiceException($"{TBlock.Name}: a matrix [{rows}, {columns}] has rows of {columns} numbers, wanted a multiple of {TBlock.Size}; store it as f16");
    }
}

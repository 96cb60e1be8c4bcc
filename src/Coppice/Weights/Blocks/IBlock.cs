using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>Neighbouring weights of a row that share scales, laid out in memory as llama.cpp lays them out in a file. <see cref="BlockFormat.All"/> lists them.</summary>
public interface IBlock<TSelf> where TSelf : unmanaged, IBlock<TSelf>
{
    /// <summary>Weights in a block.</summary>
    static abstract int Size { get; }

    /// <summary>The format's short name: <c>q8_0</c>.</summary>
    static abstract string Name { get; }

    /// <summary>The narrowest input that there is a product for.</summary>
    static virtual ActivationFormat Wants => ActivationFormat.Int8;

    /// <summary>Whether no number of the block is an infinity or a NaN.</summary>
    bool IsFinite { get; }

    /// <summary>What its numbers are made of.</summary>
    static abstract BlockShape Shape { get; }

    /// <summary>Rounds <see cref="Size"/> finite numbers.</summary>
    static abstract TSelf Pack(ReadOnlySpan<float> values);

    /// <summary>Finds the parts whose numbers are near <paramref name="values"/> by the sum of squared errors, each weighed by <paramref name="importance"/>, which is empty where all count alike.</summary>
    static abstract void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts);

    /// <summary>A block of parts that were found elsewhere.</summary>
    static abstract TSelf Join(BlockParts parts);

    /// <summary>The block's parts.</summary>
    void Split(BlockParts parts);

    /// <summary>The same for as many blocks as <paramref name="blocks"/> has.</summary>
    static virtual void Pack(ReadOnlySpan<float> values, Span<TSelf> blocks)
    {
        for (int i = 0; i < blocks.Length; i++)
            blocks[i] = TSelf.Pack(values.Slice(i * TSelf.Size, TSelf.Size));
    }

    /// <summary>The <see cref="Size"/> numbers that the block stands for.</summary>
    void Unpack(Span<float> values);

    /// <summary>The same for many blocks.</summary>
    static virtual void Unpack(ReadOnlySpan<TSelf> blocks, Span<float> values)
    {
        for (int i = 0; i < blocks.Length; i++)
            blocks[i].Unpack(values.Slice(i * TSelf.Size, TSelf.Size));
    }

    /// <summary>Rearranges rows of blocks [outputs, inputs / size] for the kernels.</summary>
    internal static abstract PanelProduct Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<TSelf> blocks);

    /// <summary>The inner product with <see cref="Size"/> numbers, in order: the reference for kernels.</summary>
    float Dot(ReadOnlySpan<float> x);
}

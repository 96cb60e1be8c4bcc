using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Neighbouring weights of a row that share scales, laid out in memory as llama.cpp lays them out in a file.</summary>
public interface IBlock<TSelf> where TSelf : unmanaged, IBlock<TSelf>
{
    /// <summary>Weights in a block.</summary>
    static abstract int Size { get; }

    /// <summary>The format's short name: <c>q8_0</c>.</summary>
    static abstract string Name { get; }

    /// <summary>Whether no number of the block is an infinity or a NaN.</summary>
    bool IsFinite { get; }

    /// <summary>The <see cref="Size"/> numbers that the block stands for.</summary>
    void Unpack(Span<float> values);

    /// <summary>Rearranges rows of blocks [outputs, inputs / size] for the kernels.</summary>
    internal static abstract PanelProduct Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<TSelf> blocks);

    /// <summary>The inner product with <see cref="Size"/> numbers, in order: the reference for kernels.</summary>
    float Dot(ReadOnlySpan<float> x);
}

/// <summary>A block that Coppice also makes, and does not only read.</summary>
public interface IPackedBlock<TSelf> : IBlock<TSelf> where TSelf : unmanaged, IPackedBlock<TSelf>
{
    /// <summary>Rounds <see cref="IBlock{TSelf}.Size"/> finite numbers as llama.cpp's reference does.</summary>
    static abstract TSelf Pack(ReadOnlySpan<float> values);

    /// <summary>The same for as many blocks as <paramref name="blocks"/> has, with vectors.</summary>
    static abstract void Pack(ReadOnlySpan<float> values, Span<TSelf> blocks);

    /// <summary><see cref="IBlock{TSelf}.Unpack(Span{float})"/> for many blocks, with vectors.</summary>
    static abstract void Unpack(ReadOnlySpan<TSelf> blocks, Span<float> values);
}

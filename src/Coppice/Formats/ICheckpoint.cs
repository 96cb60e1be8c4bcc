using System.Collections.Immutable;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>The named tensors of a model on disk, read one at a time. Names are the container's own; a model family knows what they mean.</summary>
public interface ICheckpoint : IDisposable
{
    /// <summary>The file or folder.</summary>
    string Path { get; }

    /// <summary>Every tensor's name; a weight stored in several parts (codes, scales) has one.</summary>
    IReadOnlyCollection<string> Names { get; }

    /// <summary>The sizes of a tensor's axes, outermost first; a matrix is [outputs, inputs].</summary>
    /// <exception cref="CoppiceException">There is no such tensor.</exception>
    ImmutableArray<long> ShapeOf(string name);

    /// <summary>A matrix as it is stored, nothing converted. A GGUF tensor of other than two axes is the matrix of all its rows.</summary>
    /// <exception cref="CoppiceException">There is no such tensor, it is no matrix, or it holds a number that is not finite.</exception>
    Weight ReadWeight(string name);

    /// <summary>The matrix left in its file: as a <see cref="StoredWeight"/>, to be read row by row, where it is F32, F16 or BF16; otherwise as a <see cref="DeferredWeight"/>.</summary>
    /// <exception cref="CoppiceException">There is no such tensor, or it is no matrix.</exception>
    Weight OpenWeight(string name)
    {
        ImmutableArray<long> shape = ShapeOf(name);
        return shape.Length == 2 ? new DeferredWeight((int)shape[0], (int)shape[1], () => ReadWeight(name)) : ReadWeight(name);
    }

    /// <summary>The tensor as the container has it; null where it is made of several, or the container is none of named numbers.</summary>
    TensorEntry? Entry(string name) => null;

    /// <summary>A vector or a matrix as float32.</summary>
    /// <exception cref="CoppiceException">There is no such tensor, it has no float32 form, or it holds a number that is not finite.</exception>
    Tensor ReadTensor(string name);
}

/// <summary>Whether matrices are read at once.</summary>
public enum WeightReading
{
    /// <summary>Into memory, now.</summary>
    Whole,

    /// <summary>When asked for, and not kept; the file has to stay open.</summary>
    OnDemand,
}

/// <summary>One named tensor to be written: a matrix as a <see cref="Weights.Weight"/>, anything else (a norm, a bias) as a float32 <see cref="Tensors.Tensor"/>.</summary>
public sealed record CheckpointEntry
{
    Shape? shape;

    /// <summary>A matrix.</summary>
    public CheckpointEntry(string name, Weight weight) => (Name, Weight) = (name, weight);

    /// <summary>A vector.</summary>
    public CheckpointEntry(string name, Tensor tensor) => (Name, Tensor) = (name, tensor);

    /// <summary>The container's name for it.</summary>
    public string Name { get; private init; }

    /// <summary>The same under another name.</summary>
    public CheckpointEntry Rename(string name) => this with { Name = name };

    /// <summary>The matrix, or null.</summary>
    public Weight? Weight { get; }

    /// <summary>The vector, or null.</summary>
    public Tensor? Tensor { get; }

    /// <summary>The sizes of its axes, outermost first.</summary>
    public Shape Shape => shape ?? Weight?.Shape ?? Tensor!.Shape;

    /// <summary>The same numbers, in the same order, with other axes; the last may not change where rows are stored in blocks.</summary>
    public CheckpointEntry Shaped(Shape shape) => shape.Length == Shape.Length ? this with { shape = shape } : throw new ArgumentException($"CheckpointEntry: {Shape} as {shape}, sizes differ");
}

using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>A part of a model: it names its children and its own parameters; joined by dots, the names are those of the Hugging Face checkpoint.</summary>
public abstract class Layer
{
    /// <summary>The parts, in the order in which they compute.</summary>
    public virtual IEnumerable<(string Name, Layer Layer)> Children => [];

    /// <summary>This layer's own float32 vectors (a norm's gain), by their names in the checkpoint.</summary>
    public virtual IEnumerable<(string Name, Tensor Vector)> Vectors => [];

    /// <summary>This layer and everything below it with full dotted names, parents first.</summary>
    public IEnumerable<(string Name, Layer Layer)> Walk(string name = "")
    {
        yield return (name, this);
        foreach ((string child, Layer layer) in Children)
            foreach ((string Name, Layer Layer) inner in layer.Walk(name.Length == 0 ? child : $"{name}.{child}"))
                yield return inner;
    }
}

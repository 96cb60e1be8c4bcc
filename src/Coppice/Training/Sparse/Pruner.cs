using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Training.Sparse;

/// <summary>Decides, as a run goes, which numbers of its matrices are kept. A step's mask, weights and moments agree: what is not kept is 0 in all of them.</summary>
abstract class Pruner(Optimizer optimizer, IReadOnlyList<int> pruned)
{
    /// <summary>Before a step's forward pass.</summary>
    public virtual void Before(int step)
    {
    }

    /// <summary>Where the gradients of all numbers are there, before masks clear those of what is pruned.</summary>
    public virtual void Gradients(int step)
    {
    }

    /// <summary>After the optimizer moved the weights at a rate.</summary>
    public virtual void After(int step, double rate)
    {
    }

    /// <summary>What has to be kept, besides weights, masks and moments, to go on as if never interrupted.</summary>
    public virtual IEnumerable<(string Name, Tensor Tensor)> State => [];

    /// <summary>Matrices that are pruned.</summary>
    protected int Count => pruned.Count;

    protected Optimizer Optimizer => optimizer;

    protected Parameter At(int i) => optimizer.Parameters[pruned[i]];

    /// <summary>Makes weights and moments 0 where a matrix's mask is.</summary>
    protected void Clear(int i)
    {
        Pruned.Clear(At(i).Tensor, At(i).Mask!);
        optimizer.Clear(pruned[i], At(i).Mask!);
        At(i).Tensor.MarkChanged();
    }

    /// <summary>A tensor for each pruned matrix, of its shape.</summary>
    protected Tensor[] Beside() => [.. pruned.Select(place => new Tensor(optimizer.Parameters[place].Tensor.Shape))];

    /// <summary>The names of tensors beside the pruned matrices in a checkpoint.</summary>
    protected IEnumerable<(string Name, Tensor Tensor)> Named(string prefix, Tensor[] tensors) => tensors.Select((tensor, i) => (prefix + At(i).Name, tensor));

    /// <summary>Gives every matrix that the options mean a mask, of ones where it had none.</summary>
    /// <returns>All parameters, and the places of those that are pruned.</returns>
    public static (IReadOnlyList<Parameter> Parameters, IReadOnlyList<int> Pruned) Mask(Model model, IReadOnlyList<Parameter> parameters, SparseTraining options)
    {
        HashSet<string> names = [.. MatrixTargets.Of(model, options.Targets, "Pruning in training").Select(product => product.Name + ".weight")];
        List<int> pruned = [.. Enumerable.Range(0, parameters.Count).Where(i => names.Contains(parameters[i].Name))];
        return ([.. parameters.Select(parameter => names.Contains(parameter.Name) && parameter.Mask is null ? parameter with { Mask = Ones(parameter.Tensor.Shape) } : parameter)], pruned);
    }

    static Tensor Ones(Shape shape)
    {
        Tensor ones = new(shape);
        ones.Data.Fill(1);
        return ones;
    }
}

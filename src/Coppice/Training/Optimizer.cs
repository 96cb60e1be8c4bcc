using Coppice.Tensors;

namespace Coppice.Training;

/// <summary>Moves parameters against their gradients.</summary>
public abstract class Optimizer(IReadOnlyList<Parameter> parameters)
{
    /// <summary>What is trained.</summary>
    public IReadOnlyList<Parameter> Parameters { get; } = parameters;

    /// <summary>Steps taken.</summary>
    public int StepsTaken { get; set; }

    /// <summary>What has to be kept, besides the parameters and <see cref="StepsTaken"/>, to go on as if never interrupted.</summary>
    public virtual IEnumerable<(string Name, Tensor Tensor)> State => [];

    /// <summary>One step with every gradient times <paramref name="gradientScale"/>; the gradients are zeroed. A number that is 0 and whose gradients were always 0 stays 0.</summary>
    public void Step(WorkerPool pool, double rate, double gradientScale, TrainingOptions options)
    {
        StepsTaken++;
        for (int i = 0; i < Parameters.Count; i++)
        {
            Tensor tensor = Parameters[i].Tensor;
            Update(pool, i, rate, gradientScale, options);
            tensor.ForgetGradient();
            tensor.MarkChanged();
        }
    }

    /// <summary>Makes the state of parameter <paramref name="index"/> 0 where a mask is.</summary>
    internal virtual void Clear(int index, Tensor mask)
    {
    }

    /// <summary>Makes all state 0: what was learnt of gradients is of weights that are no longer there.</summary>
    internal virtual void Clear()
    {
    }

    /// <summary>Moves parameter <paramref name="index"/>.</summary>
    protected abstract void Update(WorkerPool pool, int index, double rate, double gradientScale, TrainingOptions options);

    /// <summary>The optimizer that the options name.</summary>
    public static Optimizer Create(IReadOnlyList<Parameter> parameters, TrainingOptions options) => options.Optimizer switch
    {
        OptimizerKind.AdamW => new AdamW(parameters),
        OptimizerKind.Sgd => new Sgd(parameters),
        _ => throw new ArgumentOutOfRangeException(nameof(options), $"Optimizer: {options.Optimizer} is unknown"),
    };
}

/// <summary>The optimizers there are.</summary>
public enum OptimizerKind
{
    /// <summary>Adam with decoupled weight decay.</summary>
    AdamW,

    /// <summary>Plain gradient descent, no momentum, no decay.</summary>
    Sgd,
}

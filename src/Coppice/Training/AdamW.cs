using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Training;

/// <summary>Adam with decoupled weight decay (Loshchilov and Hutter 2019); vectors do not decay.</summary>
public sealed class AdamW : Optimizer
{
    const float Epsilon = 1e-8f;
    readonly Tensor[] first;
    readonly Tensor[] second;

    /// <summary>Zero moments for every parameter.</summary>
    public AdamW(IReadOnlyList<Parameter> parameters) : base(parameters)
    {
        first = [.. parameters.Select(parameter => new Tensor(parameter.Tensor.Shape))];
        second = [.. parameters.Select(parameter => new Tensor(parameter.Tensor.Shape))];
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> State =>
        Parameters.SelectMany((parameter, i) => new[] { ("adam.m." + parameter.Name, first[i]), ("adam.v." + parameter.Name, second[i]) });

    internal override void Clear()
    {
        for (int i = 0; i < first.Length; i++)
        {
            first[i].Data.Clear();
            second[i].Data.Clear();
        }
    }

    internal override void Clear(int index, Tensor mask)
    {
        Pruned.Clear(first[index], mask);
        Pruned.Clear(second[index], mask);
    }

    /// <inheritdoc/>
    protected override void Update(WorkerPool pool, int index, double rate, double gradientScale, TrainingOptions options)
    {
        Parameter parameter = Parameters[index];
        double decay = parameter.Kind == ParameterKind.Matrix ? options.WeightDecay : 0;
        AdamWSettings settings = new((float)rate, (float)options.Beta1, (float)options.Beta2, Epsilon, (float)decay);
        Tensors.Simd.AdamW.Step(pool, parameter.Tensor.Grad!.Data, settings, StepsTaken, (float)gradientScale, parameter.Tensor.Data, first[index].Data, second[index].Data);
    }
}

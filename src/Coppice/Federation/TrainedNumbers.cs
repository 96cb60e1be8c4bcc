using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Weights;

namespace Coppice.Federation;

/// <summary>What a run trains and averages: a model's own numbers, with the learned steps of matrices that train as integers, or adapters alone where it has some.</summary>
static class TrainedNumbers
{
    const string Step = ".weight.step", Inputs = ".lora_A.weight", Outputs = ".lora_B.weight";

    /// <summary>Whether a tensor's name is that of a step or an adapter, which is no part of a model.</summary>
    public static bool IsBeside(string name) => name.EndsWith(Step, StringComparison.Ordinal) || name.EndsWith(Inputs, StringComparison.Ordinal) || name.EndsWith(Outputs, StringComparison.Ordinal);

    /// <summary>Whether it is an adapter's inputs' side, A.</summary>
    public static bool IsAdapterInput(string name) => name.EndsWith(Inputs, StringComparison.Ordinal);

    /// <summary>A copy of them, steps as they are before they learn.</summary>
    public static ParameterSet Of(Model model, TrainingOptions options)
    {
        if (Lora.Adapted(model).Count > 0)
            return new ParameterSet(Lora.Parameters(model, options.FreezesAdapterInputs).Select(parameter => (parameter.Name, Tensor.From(parameter.Tensor.Shape, parameter.Tensor.Data))));
        ParameterSet own = ParameterSet.Copy(model);
        if (options.Quantization is not { } integers)
            return own;
        IEnumerable<Parameter> steps = new FakeQuantization(model, Parameter.Of(model, options.Zeros), integers, options.Seed).Parameters;
        return new ParameterSet([.. own.Tensors.Select(part => (part.Key, part.Value)), .. steps.Select(step => (step.Name, step.Tensor))]);
    }

    /// <summary>Puts them into a model, adapters into its adapters.</summary>
    public static void CopyTo(ParameterSet numbers, Model model)
    {
        if (Lora.Adapted(model).Count == 0)
            numbers.CopyTo(model);
        else
            CopyTo(numbers, Lora.Parameters(model));
    }

    /// <summary>Puts those that are there into parameters of the same names.</summary>
    /// <exception cref="CoppiceException">One has another shape.</exception>
    public static void CopyTo(ParameterSet numbers, IEnumerable<Parameter> parameters)
    {
        foreach (Parameter parameter in parameters)
            if (numbers.Tensors.TryGetValue(parameter.Name, out Tensor? value))
            {
                if (value.Shape != parameter.Tensor.Shape)
                    throw new CoppiceException($"tensor '{parameter.Name}' is {value.Shape}, wanted {parameter.Tensor.Shape}");
                value.Data.CopyTo(parameter.Tensor.Data);
                parameter.Tensor.MarkChanged();
            }
    }

    /// <summary>Where pruned matrices are 0 and stay so, by tensor name.</summary>
    public static IReadOnlyDictionary<string, Tensor> Masks(Model model, TrainingOptions options)
    {
        ParameterSet? moving = MovingMasks(model, options);
        return model.Matrices().Select(part => (Name: part.Name + ".weight", Mask: Pruned.Mask(part.Layer, options.Zeros)))
            .Where(part => part.Mask is not null && moving?.Tensors.ContainsKey(part.Name) is not true).ToDictionary(part => part.Name, part => part.Mask!, StringComparer.Ordinal);
    }

    /// <summary>Where matrices are 0 that the run itself prunes, as it begins; null where it prunes none.</summary>
    public static ParameterSet? MovingMasks(Model model, TrainingOptions options) => options.Pruning is not { } pruning ? null
        : new ParameterSet(MatrixTargets.Of(model, pruning.Targets, "Pruning in training").Select(part => (part.Name + ".weight", Pruned.Mask(part.Layer, options.Zeros) ?? Ones(part.Layer.Weight.Shape))));

    static Tensor Ones(Shape shape)
    {
        Tensor ones = new(shape);
        ones.Data.Fill(1);
        return ones;
    }

    /// <summary>The tensors that a run leaves pruned.</summary>
    public static IReadOnlySet<string> PrunedNames(Model model, TrainingOptions options) => Masks(model, options).Keys.Concat(MovingMasks(model, options)?.Tensors.Keys ?? []).ToHashSet(StringComparer.Ordinal);

    /// <summary>Makes what masks prune 0 again: some codecs spread a little over all numbers.</summary>
    public static void Clear(ParameterSet numbers, IEnumerable<KeyValuePair<string, Tensor>> masks)
    {
        foreach ((string name, Tensor mask) in masks)
            if (numbers.Tensors.TryGetValue(name, out Tensor? values))
                Pruned.Clear(values, mask);
    }

    /// <summary>Stores a trained model's matrices: as the integers that they trained as, or sparsely where they are pruned.</summary>
    /// <param name="model">The model, with its numbers as the run left them.</param>
    /// <param name="numbers">These, and the steps of integers.</param>
    /// <param name="pruned">Tensors that are pruned.</param>
    /// <param name="options">How it trained.</param>
    /// <param name="pool">Threads for the work.</param>
    public static void Store(Model model, ParameterSet numbers, IReadOnlySet<string> pruned, TrainingOptions options, WorkerPool pool)
    {
        if (Lora.Adapted(model).Count > 0)
            return;
        if (options.Quantization is { } integers)
        {
            FakeQuantization quantization = new(model, Parameter.Of(model, options.Zeros), integers, options.Seed);
            CopyTo(numbers, quantization.Parameters);
            quantization.Store(pool, options.Steps);
        }
        StorePruned(model, pruned);
    }

    /// <summary>Stores matrices sparsely that are pruned; none has a gradient any more.</summary>
    public static void StorePruned(Model model, IReadOnlySet<string> pruned)
    {
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            if (layer.Weight is not DenseWeight dense)
                continue;
            dense.Values.DropGradient();
            if (pruned.Contains(name + ".weight"))
                layer.Weight = Pruned.Store(dense.Values);
        }
    }
}

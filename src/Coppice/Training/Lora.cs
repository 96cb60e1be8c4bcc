using System.Collections.Immutable;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Training;

/// <summary>Which products get an adapter, and of what size.</summary>
public sealed record LoraOptions
{
    /// <summary>Rows of A and columns of B.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>The adapter's product is multiplied by this over <see cref="Rank"/>.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Which products, told as a recipe's targets are; none means all of the blocks.</summary>
    public ImmutableArray<string> Targets { get; init; } = [];
}

/// <summary>Low-rank adaptation (Hu et al. 2021): a model whose matrices stay as they are, quantized or pruned, trains small matrices beside them.</summary>
public static class Lora
{
    /// <summary>Puts adapters beside a model's products: A from N(0, 1 / inputs), B zero, so that at first nothing changes. From then on they are what trains.</summary>
    /// <exception cref="CoppiceException">A target names no product, or the options cannot be.</exception>
    public static void Attach(Model model, LoraOptions options, int seed)
    {
        if (options.Rank < 1 || !(options.Alpha > 0))
            throw new CoppiceException($"LoRA: rank {options.Rank} and alpha {options.Alpha}, wanted both above 0");
        Random random = new(seed);
        foreach ((string name, Linear layer) in MatrixTargets.Of(model, options.Targets, "LoRA"))
        {
            if (options.Rank > Math.Min(layer.Weight.Rows, layer.Weight.Columns))
                throw new CoppiceException($"LoRA: rank {options.Rank}, but {name} is {layer.Weight.Shape}, which has no higher rank than {Math.Min(layer.Weight.Rows, layer.Weight.Columns)}");
            layer.Adapter = new LowRankAdapter(NewInputs(options.Rank, layer.Weight.Columns, random), new Tensor([layer.Weight.Rows, options.Rank]), (float)(options.Alpha / options.Rank));
        }
    }

    /// <summary>A [rank, inputs] from N(0, 1 / inputs).</summary>
    internal static Tensor NewInputs(int rank, int inputs, Random random)
    {
        Tensor a = new([rank, inputs]);
        foreach (ref float value in a.Data)
            value = (float)(Initialization.Gaussian(random) / Math.Sqrt(inputs));
        return a;
    }

    /// <summary>The products that have an adapter, in the order in which they compute.</summary>
    public static IReadOnlyList<(string Name, Linear Layer)> Adapted(Model model) =>
        [.. model.Matrices().Where(part => part.Layer is Linear { Adapter: not null }).Select(part => (part.Name, (Linear)part.Layer))];

    /// <summary>A and B of every adapter, made trainable; B alone where the inputs' side is frozen.</summary>
    public static IReadOnlyList<Parameter> Parameters(Model model, bool freezesInputs = false)
    {
        List<Parameter> parameters = [];
        foreach ((string name, Linear layer) in Adapted(model))
        {
            if (!freezesInputs)
                parameters.Add(new Parameter(name + ".lora_A.weight", layer.Adapter!.A, ParameterKind.Matrix));
            parameters.Add(new Parameter(name + ".lora_B.weight", layer.Adapter!.B, ParameterKind.Matrix));
        }
        foreach (Parameter parameter in parameters)
            parameter.Tensor.TrackGradient();
        return parameters;
    }

    /// <summary>Adds every adapter to its matrix, W + scale B A, and removes it. Matrices become float32; pruned ones, where <paramref name="zeros"/> keeps them so, drop what would fall on a pruned number and are stored sparsely again.</summary>
    /// <returns>How many matrices there were, and how many of them kept zeros.</returns>
    public static (int Matrices, int Pruned) Merge(Model model, WorkerPool pool, ZeroHandling zeros = ZeroHandling.KeepPruned)
    {
        IReadOnlyList<(string Name, Linear Layer)> adapted = Adapted(model);
        int masked = 0;
        foreach ((_, Linear layer) in adapted)
        {
            Tensor values = Tensor.From(layer.Weight.Shape, layer.Weight.ToDense());
            Tensor? mask = Pruned.Mask(layer, zeros);
            layer.Adapter!.AddTo(pool, values.Data);
            layer.Adapter = null;
            if (mask is null)
            {
                layer.Weight = new DenseWeight(values);
                continue;
            }
            Pruned.Clear(values, mask);
            layer.Weight = Pruned.Store(values);
            masked++;
        }
        return (adapted.Count, masked);
    }
}

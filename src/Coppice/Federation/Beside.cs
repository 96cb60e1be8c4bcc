using System.Text.Json;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>Adapters in a task: low-rank changes of some products, which alone train. The matrices come as the model, A and B as <c>NAME.lora_A.weight</c> and <c>NAME.lora_B.weight</c>.</summary>
/// <param name="Names">The products' full names.</param>
/// <param name="Rank">Rows of A.</param>
/// <param name="Alpha">The product B A is multiplied by this over the rank.</param>
/// <param name="FreezesInputs">Whether A stays as it came, so that the mean of all B is the mean of all changes (Sun et al. 2024).</param>
sealed record LocalAdapters(string[] Names, int Rank, double Alpha, bool FreezesInputs)
{
    /// <summary>Those of a model, or null.</summary>
    public static LocalAdapters? Of(Model model, TrainingOptions options) => Lora.Adapted(model) is not [(_, { Adapter: { } first }), ..] adapted ? null
        : new LocalAdapters([.. adapted.Select(part => part.Name)], first.A.Shape[0], (double)first.Scale * first.A.Shape[0], options.FreezesAdapterInputs);
}

/// <summary>A teacher in a task: its tensors come as <c>teacher.NAME</c>.</summary>
/// <param name="Share">The soft loss's share of the whole, 0 to 1.</param>
/// <param name="Temperature">What logits are divided by.</param>
/// <param name="Model">Its sizes.</param>
sealed record LocalTeacher(double Share, double Temperature, JsonElement Model)
{
    public const string Prefix = "teacher.";

    /// <summary>That of a run, its tensors added to others; or null.</summary>
    public static LocalTeacher? Of(FederatedOptions options, List<TensorSource> tensors)
    {
        if (options.Teacher is not { } teacher)
            return null;
        tensors.AddRange(ParameterSet.Copy(teacher).Renamed(name => Prefix + name).Sources(options.DownloadType));
        return new LocalTeacher(options.Training.Distillation.Share, options.Training.Distillation.Temperature, RoundTask.WriteConfig(teacher.Config, options.DownloadType));
    }
}

/// <summary>What clients get with the numbers that are averaged: the model that adapters stand beside, what is frozen of these, and a teacher. It is the same in every round.</summary>
sealed record Beside(IReadOnlyList<TensorSource> Tensors, LocalAdapters? Adapters, LocalTeacher? Teacher)
{
    /// <summary>Nothing.</summary>
    public static Beside Nothing { get; } = new([], null, null);

    /// <summary>Numbers that come so.</summary>
    public long Count => Tensors.Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>What a model with these options needs.</summary>
    public static Beside Of(DecoderModel model, FederatedOptions options)
    {
        LocalAdapters? adapters = LocalAdapters.Of(model, options.Training);
        List<TensorSource> tensors = [];
        if (adapters is not null)
        {
            tensors.AddRange(ParameterSet.Copy(model).Sources(options.DownloadType));
            if (adapters.FreezesInputs)
                tensors.AddRange(Lora.Parameters(model).Except(Lora.Parameters(model, freezesInputs: true)).Select(parameter => TensorSource.Floats(parameter.Name, DType.F32, parameter.Tensor)));
        }
        LocalTeacher? teacher = LocalTeacher.Of(options, tensors);
        return new Beside(tensors, adapters, teacher);
    }
}

using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>Between a container's named tensors and a Llama model's layers, whatever the container.</summary>
static class LlamaCheckpoint
{
    /// <summary>Builds the model: <paramref name="rename"/> gives the container's name of a tensor, <paramref name="arrange"/> brings a matrix, told by our name, from the container's row order into ours.</summary>
    /// <exception cref="CoppiceException">A tensor is missing, has another shape, or is there without a use.</exception>
    public static LlamaModel Build(LlamaConfig config, ICheckpoint checkpoint, Func<string, string> rename, Func<string, Weight, Weight> arrange, WeightReading reading = WeightReading.Whole)
    {
        HashSet<string> unused = [.. checkpoint.Names];
        LlamaModel model = new(config, Matrix, Vector);
        // Some writers store a tied head a second time, angles that follow from the sizes, or biases of zero for every quantized layer (AutoGPTQ).
        if (config.Head == HeadKind.Tied)
            unused.Remove(rename("lm_head.weight"));
        unused.RemoveWhere(name => name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal));
        unused.RemoveWhere(name => name.EndsWith(".bias", StringComparison.Ordinal) && checkpoint.ReadTensor(name).Data.IndexOfAnyExcept(0f) < 0);
        return unused.Count == 0
            ? model
            : throw new CoppiceException($"{checkpoint.Path}: a llama model has no use for {unused.Count} of its tensors: {string.Join(", ", unused.Order().Take(5))}{(unused.Count > 5 ? " ..." : "")}");

        Weight Matrix(string name, Shape shape)
        {
            string stored = Take(name, shape);
            return arrange(name, reading == WeightReading.Whole ? checkpoint.ReadWeight(stored) : checkpoint.OpenWeight(stored));
        }

        Tensor Vector(string name, Shape shape) => checkpoint.ReadTensor(Take(name, shape));

        string Take(string name, Shape shape)
        {
            string stored = rename(name);
            if (!unused.Remove(stored))
                throw new CoppiceException($"{checkpoint.Path}: tensor '{stored}' is missing; a llama model of {config.LayerCount} layers needs it");
            if (!checkpoint.ShapeOf(stored).SequenceEqual(shape.Select(size => (long)size)))
                throw new CoppiceException($"{checkpoint.Path}: tensor '{stored}' is [{string.Join(", ", checkpoint.ShapeOf(stored))}], wanted {shape}");
            return stored;
        }
    }

    /// <summary>Every parameter under Hugging Face's name, its matrices as <paramref name="arrange"/> gives them.</summary>
    public static IReadOnlyList<CheckpointEntry> Entries(LlamaModel model, Func<string, Weight, Weight> arrange) =>
    [
        .. model.Matrices().Select(part => (Name: part.Name + ".weight", part.Layer.Weight)).Select(part => new CheckpointEntry(part.Name, arrange(part.Name, part.Weight))),
        .. model.AllVectors().Select(part => new CheckpointEntry(part.Name, part.Vector)),
    ];

    /// <summary>How many heads' rows rotary positions turn in the matrix of this name; null where they turn none.</summary>
    public static int? HeadsOf(string name, LlamaConfig config) =>
        name.EndsWith("self_attn.q_proj.weight", StringComparison.Ordinal) ? config.HeadCount
        : name.EndsWith("self_attn.k_proj.weight", StringComparison.Ordinal) ? config.KeyValueHeadCount
        : null;
}

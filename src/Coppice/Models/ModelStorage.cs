using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>How a .gguf and a Hugging Face folder store a model's matrices, so that what they cannot hold is known before any work.</summary>
public static class ModelStorage
{
    /// <summary>Matrices, by name, that lie in one tensor and so have to be of one kind, such as Phi-3's queries, keys and values, and in a .gguf all experts'; those with a tensor to themselves are left out.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> Together(Model model, bool inGguf) =>
    [
        .. Places(model, inGguf).GroupBy(matrix => matrix.At.Name).Where(tensor => tensor.Count() > 1).Select(tensor => (IReadOnlyList<string>)[.. tensor.Select(matrix => matrix.Name)]),
    ];

    /// <summary>Why a .gguf or a folder could not hold the model once the matrices of <paramref name="packed"/> are on grids; null where it could.</summary>
    public static string? Refuses(Model model, bool inGguf, IReadOnlySet<string> packed)
    {
        if (inGguf && ModelGguf.Refuses(model) is { } reason)
            return reason;
        if (!inGguf && Places(model, inGguf).FirstOrDefault(matrix => matrix.At.IsTransposed && packed.Contains(matrix.Name)) is { Name: { } turned })
            return $"a folder of a {model.Family} model has {turned} with inputs and outputs exchanged, which no packed matrix can be; write NAME.gguf";
        foreach (IReadOnlyList<string> together in Together(model, inGguf))
            if (together.FirstOrDefault(packed.Contains) is { } one && together.FirstOrDefault(name => !packed.Contains(name)) is { } other)
                return $"{one} and {other} are stored as one tensor there, and the recipe packs the one and not the other; let its targets name both or neither";
        return null;
    }

    /// <summary>Bytes of a matrix, by name, as it is written, which are more than in memory where the container has no such form: a .gguf has no masks, and some matrices in float32; a folder has 2 of 4 integers with their zeros.</summary>
    public static long BytesOf(Model model, string name, Weight weight, bool inGguf)
    {
        Weight made = DeferredWeight.Made(weight);
        if (!inGguf)
            return made is TwoFourIntWeight integers ? integers.ToInt().ByteCount : made.ByteCount;
        made = GgufGrids.ToBlocks(made);
        GgmlType type = IsFloat32(model, name) ? GgmlType.F32 : GgufBlocks.TypeOf(made);
        return (long)made.Rows * made.Columns / type.BlockSize * type.BlockBytes;
    }

    /// <summary>Whether a .gguf has a matrix, by name, in float32 whatever is asked for.</summary>
    internal static bool IsFloat32(Model model, string name) => model is DecoderModel && DecoderGguf.IsFloat32(name);

    // The tensor of every matrix; none where llama.cpp has no architecture for the model.
    static IEnumerable<(string Name, TensorPlace At)> Places(Model model, bool inGguf)
    {
        if (inGguf && !ModelGguf.Knows(model))
            return [];
        Func<string, TensorPlace> place = inGguf ? name => ModelGguf.PlaceOf(model, name) : Folder(ModelFolder.Places(model));
        return model.Matrices().Select(matrix => (matrix.Name, place(matrix.Name)));

        static Func<string, TensorPlace> Folder(Func<string, TensorPlace> tensors) => name => tensors(name + ".weight");
    }
}

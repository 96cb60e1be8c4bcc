using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>How a .gguf and a Hugging Face folder store a model's matrices, so that what they cannot hold is known before any work.</summary>
public static class ModelStorage
{
    /// <summary>Matrices, by name, that lie in one tensor and so have to be of one kind, such as Phi-3's queries, keys and values, and in a .gguf all experts'; those with a tensor to themselves are left out.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> Together(Model model, bool inGguf) =>
    [
        .. Places(model, inGguf).GroupBy(matrix => matrix.At.Name).Where(tensor => tensor.Count() > 1).Select(tensor => (IReadOnlyList<string>)[.. tensor.Select(matrix => matrix.Name)]),
    ];

    /// <summary>Throws if a file or folder at <paramref name="path"/> could not hold the model once the matrices of <paramref name="packed"/> are on grids.</summary>
    /// <exception cref="CoppiceException">It could not.</exception>
    public static void Check(Model model, string path, bool inGguf, IReadOnlySet<string> packed)
    {
        if (inGguf)
            ModelGguf.Check(model, path);
        else if (Places(model, inGguf).FirstOrDefault(matrix => matrix.At.IsTransposed && packed.Contains(matrix.Name)) is { Name: { } turned })
            throw new CoppiceException($"{path}: a folder of a {model.Family} model has {turned} with inputs and outputs exchanged, which no packed matrix can be; write NAME.gguf");
        foreach (IReadOnlyList<string> together in Together(model, inGguf))
            if (together.FirstOrDefault(packed.Contains) is { } one && together.FirstOrDefault(name => !packed.Contains(name)) is { } other)
                throw new CoppiceException($"{path}: {one} and {other} are stored as one tensor there, and the recipe packs the one and not the other; let its targets name both or neither");
    }

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

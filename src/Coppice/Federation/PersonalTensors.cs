using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>Which tensors stay with their client (Arivazhagan et al. 2019): names, or beginnings of names with a * behind.</summary>
static class PersonalTensors
{
    /// <summary>Whether a tensor is one of them.</summary>
    public static bool Contains(IReadOnlyList<string> personal, string name) =>
        personal.Any(pattern => pattern.EndsWith('*') ? name.StartsWith(pattern[..^1], StringComparison.Ordinal) : name == pattern);

    /// <summary>All other tensors.</summary>
    public static ParameterSet Shared(IReadOnlyList<string> personal, ParameterSet all) => all.Where(name => !Contains(personal, name));

    /// <summary>Throws unless each stands for a tensor of the model and some tensor is left to share.</summary>
    /// <exception cref="CoppiceException">Names the pattern.</exception>
    public static void Check(IReadOnlyList<string> personal, ParameterSet model)
    {
        foreach (string pattern in personal)
            if (!model.Tensors.Keys.Any(name => Contains([pattern], name)))
                throw new CoppiceException($"Federation: no tensor is called '{pattern}', wanted one of the model's, such as '{model.Tensors.Keys.First()}'");
        if (model.Tensors.Keys.All(name => Contains(personal, name)))
            throw new CoppiceException("Federation: all tensors are personal, so that there is nothing to share");
    }
}

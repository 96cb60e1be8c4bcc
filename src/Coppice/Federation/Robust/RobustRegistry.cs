namespace Coppice.Federation.Robust;

/// <summary>The robust rules there are, by name and parameters.</summary>
public static class RobustRegistry
{
    /// <summary>What a name looks like; parameters in brackets may be left out.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["median", "trimmed[:SHARE]", "krum[:SHARE]", "multikrum[:SHARE]", "bulyan[:SHARE]", "clip[:NORM]"];

    /// <summary>A rule by its name, such as <c>median</c> or <c>trimmed:0.2</c>.</summary>
    /// <exception cref="Tensors.CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static IRobustRule Find(string text)
    {
        Spec spec = new("robust", text);
        return spec.Name switch
        {
            "median" => spec.End(new TrimmedMean(null)),
            "trimmed" => spec.End(new TrimmedMean(Share(spec))),
            "krum" => spec.End(new Krum(Share(spec), KrumKind.One)),
            "multikrum" => spec.End(new Krum(Share(spec), KrumKind.Many)),
            "bulyan" => spec.End(new Bulyan(Share(spec))),
            "clip" => spec.End(new NormClip(spec.Number("a norm", 0, 0, 1e12))),
            _ => throw spec.Unknown(Forms),
        };
    }

    static double Share(Spec spec) => spec.Number("a share", 0.2, 0, 0.499999);
}

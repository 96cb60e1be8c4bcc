using Coppice.Training.Sparse;

namespace Coppice.Federation.Voting;

/// <summary>The ways to prune that clients vote on, by name and parameters.</summary>
public static class PruningRegistry
{
    /// <summary>What a name looks like; parameters in brackets may be left out.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["rigl:SPARSITY[:EVERY[:EXCHANGE[:END]]]", "gradual:SPARSITY[:EVERY[:END]]"];

    /// <summary>A way by its name, such as <c>rigl:0.8:10</c>: 80% of each matrix is 0, and masks change every 10 local steps.</summary>
    /// <exception cref="Tensors.CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static SparseTraining Find(string text)
    {
        Spec spec = new("prune", text);
        return spec.Name switch
        {
            "rigl" => spec.End(new RigL { Sparsity = Sparsity(spec), Every = Every(spec), Fraction = spec.Number("an exchanged share", new RigL().Fraction, 0, 0.999999), End = End(spec) }),
            "gradual" => spec.End(new GradualMagnitude { Sparsity = Sparsity(spec), Every = Every(spec), End = End(spec) }),
            _ => throw spec.Unknown(Forms),
        };
    }

    static double Sparsity(Spec spec) => spec.Number("a sparsity", null, 1e-6, 0.999999);

    static int Every(Spec spec) => spec.Whole("steps between changes", 10, 1, int.MaxValue);

    static double End(Spec spec) => spec.Number("an end", new RigL().End, 0, 1);
}

namespace Coppice.Federation.Splits;

/// <summary>The splits there are, by name and parameters.</summary>
public static class SplitRegistry
{
    const int MostClients = 1_000_000;

    /// <summary>What a name looks like; parameters in brackets may be left out.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["label[:LEAST]", "iid[:CLIENTS]", "dirichlet[:ALPHA[:CLIENTS[:LEAST]]]", "shards[:EACH[:CLIENTS]]", "power[:EXPONENT[:CLIENTS]]"];

    /// <summary>A split by its name, such as <c>iid:10</c> or <c>dirichlet:0.3:10</c>.</summary>
    /// <exception cref="Tensors.CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static ISplit Find(string text)
    {
        Spec spec = new("split", text);
        return spec.Name switch
        {
            "label" => spec.End(new LabelSplit(Least(spec))),
            "iid" => spec.End(new SizeSplit(0, Clients(spec))),
            "dirichlet" => spec.End(new DirichletSplit(spec.Number("an alpha", 0.5, 1e-6, 1e6), Clients(spec), Least(spec))),
            "shards" => spec.End(new ShardSplit(spec.Whole("shards a client", 2, 1, MostClients), Clients(spec))),
            "power" => spec.End(new SizeSplit(spec.Number("an exponent", 1, 0, 100), Clients(spec))),
            _ => throw spec.Unknown(Forms),
        };
    }

    static int Clients(Spec spec) => spec.Whole("a number of clients", 10, 1, MostClients);

    static int Least(Spec spec) => spec.Whole("a least number of documents", 1, 1, int.MaxValue);
}

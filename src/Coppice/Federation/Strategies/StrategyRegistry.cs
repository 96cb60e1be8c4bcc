namespace Coppice.Federation.Strategies;

/// <summary>The strategies there are, by name and parameters.</summary>
public static class StrategyRegistry
{
    /// <summary>What a name looks like; parameters in brackets may be left out.</summary>
    public static IReadOnlyList<string> Forms { get; } =
    [
        "fedavg", "fedprox[:MU]", "fedavgm[:BETA[:RATE]]", "fedadam[:RATE[:BETA1[:BETA2[:TAU]]]]", "fedyogi[...]", "fedadagrad[...]", "scaffold[:RATE]", "fedbuff[:SIZE[:RATE]]", "maskvote[:SHARE]",
    ];

    /// <summary>A strategy by its name, such as <c>fedavg</c> or <c>fedadam:0.01</c>.</summary>
    /// <exception cref="Tensors.CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static IStrategy Find(string text)
    {
        Spec spec = new("strategy", text);
        return spec.Name switch
        {
            "fedavg" => spec.End(new FedAvg()),
            "fedprox" => spec.End(new FedProx(spec.Number("mu", 0.01, 0, 1e6))),
            "fedavgm" => spec.End(new FedAvgM(spec.Number("beta", 0.9, 0, 0.999999), Rate(spec, 1))),
            "fedadam" => Adaptive(spec, ServerOptimizer.Adam),
            "fedyogi" => Adaptive(spec, ServerOptimizer.Yogi),
            "fedadagrad" => Adaptive(spec, ServerOptimizer.Adagrad),
            "scaffold" => spec.End(new Scaffold(Rate(spec, 1))),
            "fedbuff" => spec.End(new FedBuff(spec.Whole("a buffer size", 3, 1, 1_000_000), Rate(spec, 1))),
            "maskvote" => spec.End(new MaskVote(spec.Number("a share of votes", 0.5, 0, 1))),
            _ => throw spec.Unknown(Forms),
        };
    }

    static FedOpt Adaptive(Spec spec, ServerOptimizer kind) => spec.End(new FedOpt(kind, Rate(spec, 1e-3), spec.Number("beta1", 0.9, 0, 0.999999), spec.Number("beta2", 0.99, 0, 0.999999), spec.Number("tau", 1e-3, 1e-12, 1e6)));

    static double Rate(Spec spec, double fallback) => spec.Number("a rate", fallback, 1e-9, 1e6);
}

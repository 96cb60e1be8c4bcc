using static Coppice.Tests.Models.Families.ReferenceDecoder;

namespace Coppice.Tests.Models.Families;

/// <summary>A mixture of experts in plain double loops: softmax over all scores, the best few, divided by their sum where <paramref name="isNormalized"/>, and an expert for all behind a sigmoid.</summary>
sealed class ReferenceMixture(string prefix, string gate, string up, string down, int count, int chosen, int width, int? shared, bool isNormalized)
{
    public IEnumerable<(string Name, int Outputs, int Inputs)> Matrices(int hidden)
    {
        yield return (prefix + "gate", count, hidden);
        for (int e = 0; e < count; e++)
            foreach ((string name, int outputs, int inputs) in new[] { (gate, width, hidden), (up, width, hidden), (down, hidden, width) })
                yield return ($"{prefix}experts.{e}.{name}", outputs, inputs);
        if (shared is not { } all)
            yield break;
        yield return (prefix + "shared_expert_gate", 1, hidden);
        yield return (prefix + "shared_expert." + gate, all, hidden);
        yield return (prefix + "shared_expert." + up, all, hidden);
        yield return (prefix + "shared_expert." + down, hidden, all);
    }

    public double[] Mix(ReferenceDecoder r, string layer, double[] x)
    {
        double[] scores = r.Linear(layer + prefix + "gate", x), e = [.. scores.Select(score => Math.Exp(score - scores.Max()))], p = [.. e.Select(v => v / e.Sum())];
        int[] best = [.. Enumerable.Range(0, count).OrderByDescending(i => p[i]).Take(chosen)];
        double[] y = new double[x.Length];
        foreach (int expert in best)
            y = Add(y, [.. Inner($"{layer}{prefix}experts.{expert}.").Select(v => v * p[expert] / (isNormalized ? best.Sum(i => p[i]) : 1))]);
        if (shared is not null)
        {
            double share = 1 / (1 + Math.Exp(-r.Linear(layer + prefix + "shared_expert_gate", x)[0]));
            y = Add(y, [.. Inner(layer + prefix + "shared_expert.").Select(v => v * share)]);
        }
        return y;

        double[] Inner(string name) => r.Linear(name + down, [.. r.Linear(name + gate, x).Zip(r.Linear(name + up, x), (g, u) => Silu(g) * u)]);
    }
}

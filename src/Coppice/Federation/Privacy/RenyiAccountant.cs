namespace Coppice.Federation.Privacy;

/// <summary>How a bound on the Renyi divergence becomes one on (epsilon, delta).</summary>
public enum RenyiConversion
{
    /// <summary>eps = RDP + log((a - 1) / a) - (log delta + log a) / (a - 1) (Canonne et al. 2020).</summary>
    Tight,

    /// <summary>eps = RDP + log(1 / delta) / (a - 1) (Mironov 2017).</summary>
    Classic,
}

/// <summary>What rounds of the sampled Gaussian mechanism cost in privacy (Mironov et al. 2019): Renyi divergences of every order add up over rounds, and the best order gives epsilon.</summary>
public static class RenyiAccountant
{
    static readonly int[] Orders = [.. Enumerable.Range(2, 255), 320, 384, 448, 512, 640, 768, 896, 1024];

    /// <summary>
    /// Renyi divergence of whole order a between one round's result with and without a client that takes part with probability q, noise being z times the norm that updates are clipped to:
    /// 1 / (a - 1) log sum over k of C(a, k) (1 - q)^(a - k) q^k exp(k (k - 1) / (2 z^2)). Assumes that clients take part independently of one another.
    /// </summary>
    public static double Divergence(double probability, double noise, int order)
    {
        if (probability == 0)
            return 0;
        if (noise == 0)
            return double.PositiveInfinity;
        if (probability == 1)
            return order / (2 * noise * noise);
        double largest = double.NegativeInfinity, choose = 0;
        double[] terms = new double[order + 1];
        for (int k = 0; k <= order; k++)
        {
            // log C(a, k) = log C(a, k - 1) + log((a - k + 1) / k)
            if (k > 0)
                choose += Math.Log((order - k + 1.0) / k);
            terms[k] = choose + (order - k) * Math.Log(1 - probability) + k * Math.Log(probability) + k * (k - 1.0) / (2 * noise * noise);
            largest = Math.Max(largest, terms[k]);
        }
        return Math.Max(0, (largest + Math.Log(terms.Sum(term => Math.Exp(term - largest)))) / (order - 1));
    }

    /// <summary>epsilon at a delta after rounds of probability q and noise z, some of them alike.</summary>
    public static double Epsilon(IEnumerable<(double Probability, double Noise, long Rounds)> rounds, double delta, RenyiConversion conversion = RenyiConversion.Tight)
    {
        (double Probability, double Noise, long Rounds)[] all = [.. rounds];
        return all.Length == 0 ? 0 : Math.Max(0, Orders.Min(order => Convert(all.Sum(part => part.Rounds * Divergence(part.Probability, part.Noise, order)), order, delta, conversion)));
    }

    static double Convert(double divergence, int order, double delta, RenyiConversion conversion) => conversion == RenyiConversion.Classic
        ? divergence + Math.Log(1 / delta) / (order - 1)
        : divergence + Math.Log((order - 1.0) / order) - (Math.Log(delta) + Math.Log(order)) / (order - 1);
}

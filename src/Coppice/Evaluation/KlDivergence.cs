using System.Numerics.Tensors;

namespace Coppice.Evaluation;

/// <summary>KL(p || q) = sum p (ln p - ln q) in nats, of softmax distributions, in double. Neither clipped nor ever negative.</summary>
public static class KlDivergence
{
    // Below it the series is as exact as double; above it the closed form is.
    const double Small = 0.01;

    /// <summary>Of two rows of logits of one length, with scratch of at least that length for each.</summary>
    /// <remarks>
    /// Summed as p (d - 1) + q with d = ln p - ln q, which adds sum(q) - sum(p) = 0 and makes each term p (d - 1 + e^-d), never
    /// negative. Where d is small, that is p d^2 (1/2 - d/6 + d^2/24 - ...): a divergence of 1e-20 keeps its digits.
    /// </remarks>
    public static double Of(ReadOnlySpan<float> p, ReadOnlySpan<float> q, Span<double> pScratch, Span<double> qScratch)
    {
        if (p.Length != q.Length)
            throw new ArgumentException($"KlDivergence: {p.Length} and {q.Length} logits");
        Span<double> ps = pScratch[..p.Length], qs = qScratch[..q.Length];
        double logP = Exponentials(p, ps, out double sumP), logQ = Exponentials(q, qs, out double sumQ), shift = logQ - logP;
        double sum = 0;
        for (int i = 0; i < ps.Length; i++)
        {
            double pi = ps[i] / sumP, qi = qs[i] / sumQ, d = (double)p[i] - q[i] + shift;
            sum += pi == 0 ? qi : Math.Abs(d) < Small ? pi * d * d * Series(d) : Math.Max(0, pi * (d - 1) + qi);
        }
        return sum;
    }

    // (d - 1 + e^-d) / d^2
    static double Series(double d) => 1.0 / 2 - d * (1.0 / 6 - d * (1.0 / 24 - d * (1.0 / 120 - d * (1.0 / 720 - d / 5040))));

    // exp(logit - greatest) and their sum; returns ln(sum(exp(logits)))
    static double Exponentials(ReadOnlySpan<float> logits, Span<double> exponentials, out double sum)
    {
        double greatest = TensorPrimitives.Max(logits);
        for (int i = 0; i < logits.Length; i++)
            exponentials[i] = logits[i] - greatest;
        TensorPrimitives.Exp(exponentials, exponentials);
        sum = 0;
        foreach (double value in exponentials)
            sum += value;
        return greatest + Math.Log(sum);
    }
}

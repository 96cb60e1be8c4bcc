using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>How much of each of several matrices (or blocks) goes, so that together the wanted share of all their weights does: exactly, but for rounding the total to a whole weight. Pure functions.</summary>
/// <remarks>What they return is a count of weights over the matrix's size, which <see cref="PruneStep.Sparsity"/> turns into that very count again.</remarks>
public static class Allocation
{
    /// <summary>The same share everywhere.</summary>
    /// <param name="sizes">Weights of each matrix, at least 1.</param>
    /// <param name="sparsity">The share of all weights that goes, 0 to 1.</param>
    public static double[] Uniform(ReadOnlySpan<int> sizes, double sparsity)
    {
        double[] shares = new double[sizes.Length];
        shares.AsSpan().Fill(sparsity);
        return Whole(sizes, shares, sparsity);
    }

    /// <summary>One threshold over all matrices' scores, each matrix's divided by their mean; of equal scores the first go.</summary>
    /// <param name="scores">A score for each weight of each matrix, not negative and finite.</param>
    /// <param name="sparsity">The share of all weights that goes, 0 to 1.</param>
    public static double[] Global(IReadOnlyList<float[]> scores, double sparsity)
    {
        int[] sizes = [.. scores.Select(own => own.Length)];
        double[] shares = new double[sizes.Length];
        long drop = TotalOf(sizes, sparsity);
        if (drop == 0)
            return shares;
        float[] factors = [.. scores.Select(own => Mean(own) is > 0 and double mean ? (float)(1 / mean) : 1)];
        (float highest, long equal) = Pruning.Cut(scores, factors, drop);
        for (int m = 0; m < shares.Length; m++)
        {
            int count = 0;
            foreach (float score in scores[m])
                if (score * factors[m] < highest || score * factors[m] == highest && equal-- > 0)
                    count++;
            shares[m] = (double)count / sizes[m];
        }
        return shares;
    }

    /// <summary>The share of scores that are above <paramref name="times"/> their mean: a layer's outliers (Yin et al. 2023, with Wanda's scores).</summary>
    public static double OutlierRatio(ReadOnlySpan<float> scores, double times = 5)
    {
        double limit = times * Mean(scores);
        int count = 0;
        foreach (float score in scores)
            if (score > limit)
                count++;
        return (double)count / scores.Length;
    }

    /// <summary>OWL: the more outliers, the more stays. Kept shares differ by at most 2 <paramref name="lambda"/>, in proportion to the ratios (Yin et al. 2023).</summary>
    /// <param name="sizes">Weights of each matrix, at least 1.</param>
    /// <param name="ratios">Each one's <see cref="OutlierRatio"/>.</param>
    /// <param name="sparsity">The share of all weights that goes, 0 to 1.</param>
    /// <param name="lambda">Half of the widest difference, from 0.</param>
    public static double[] OutlierWeighted(ReadOnlySpan<int> sizes, ReadOnlySpan<double> ratios, double sparsity, double lambda = 0.08)
    {
        double least = double.MaxValue, most = double.MinValue;
        foreach (double ratio in ratios)
            (least, most) = (Math.Min(least, ratio), Math.Max(most, ratio));
        double[] shares = new double[ratios.Length];
        for (int m = 0; m < shares.Length; m++)
            shares[m] = most > least ? -2 * lambda * (ratios[m] - least) / (most - least) : 0;
        Shift(sizes, shares, sparsity);
        return Whole(sizes, shares, sparsity);
    }

    /// <summary>The least sum of errors, given each matrix's error at some shares: errors between them are taken to lie on the lower convex hull.</summary>
    /// <param name="sizes">Weights of each matrix, at least 1.</param>
    /// <param name="curves">For each matrix its errors by rising share, the first at share 0.</param>
    /// <param name="sparsity">The share of all weights that goes, from 0 to what the curves reach together.</param>
    /// <exception cref="CoppiceException">The curves do not reach so far, or one does not rise from share 0.</exception>
    public static double[] Sensitivity(ReadOnlySpan<int> sizes, IReadOnlyList<(double Share, double Error)[]> curves, double sparsity)
    {
        List<(int Matrix, double Weights, double Slope)> pieces = [];
        for (int m = 0; m < sizes.Length; m++)
        {
            List<(double Share, double Error)> hull = Hull(curves[m], m);
            for (int i = 1; i < hull.Count; i++)
                pieces.Add((m, (hull[i].Share - hull[i - 1].Share) * sizes[m], (hull[i].Error - hull[i - 1].Error) / ((hull[i].Share - hull[i - 1].Share) * sizes[m])));
        }
        // The cheapest weights first: of one matrix its hull's pieces come in order, as their slopes rise.
        double left = TotalOf(sizes, sparsity);
        double[] shares = new double[sizes.Length];
        foreach ((int m, double weights, double _) in pieces.OrderBy(piece => piece.Slope))
        {
            double taken = Math.Min(weights, left);
            shares[m] += taken / sizes[m];
            left -= taken;
        }
        if (left > 0.5)
            throw new CoppiceException($"allocation: a sparsity of {sparsity:0.####} takes {left:0} weights more than the error curves reach");
        return Whole(sizes, shares, sparsity);
    }

    // The points below which no line between two others passes.
    static List<(double Share, double Error)> Hull((double Share, double Error)[] curve, int matrix)
    {
        if (curve.Length == 0 || curve[0].Share != 0 || curve[^1].Share > 1)
            throw new CoppiceException($"allocation: the error curve of matrix {matrix} does not go from share 0 to 1 at most");
        List<(double Share, double Error)> hull = [];
        foreach ((double share, double error) in curve)
        {
            if (!double.IsFinite(error) || hull.Count > 0 && !(share > hull[^1].Share))
                throw new CoppiceException($"allocation: the error curve of matrix {matrix} has error {error} at share {share}; wanted rising shares and finite errors");
            while (hull.Count > 1 && (hull[^1].Error - hull[^2].Error) * (share - hull[^2].Share) >= (error - hull[^2].Error) * (hull[^1].Share - hull[^2].Share))
                hull.RemoveAt(hull.Count - 1);
            hull.Add((share, error));
        }
        return hull;
    }

    static double Mean(ReadOnlySpan<float> scores)
    {
        double sum = 0;
        foreach (float score in scores)
            sum += score;
        return sum / scores.Length;
    }

    static long TotalOf(ReadOnlySpan<int> sizes, double sparsity)
    {
        if (sparsity is not (>= 0 and <= 1))
            throw new CoppiceException($"allocation: a sparsity of {sparsity}, wanted 0 to 1");
        long all = 0;
        foreach (int size in sizes)
            all += size;
        return (long)Math.Round(all * sparsity, MidpointRounding.ToEven);
    }

    // Moves all shares by one number, those that would leave 0 to 1 as far as they can go, until the total fits.
    static void Shift(ReadOnlySpan<int> sizes, Span<double> shares, double sparsity)
    {
        double total = TotalOf(sizes, sparsity), low = -2, high = 3;
        for (int i = 0; i < 64; i++)
        {
            double middle = (low + high) / 2, sum = 0;
            for (int m = 0; m < shares.Length; m++)
                sum += sizes[m] * Math.Clamp(shares[m] + middle, 0, 1);
            (low, high) = sum < total ? (middle, high) : (low, middle);
        }
        for (int m = 0; m < shares.Length; m++)
            shares[m] = Math.Clamp(shares[m] + high, 0, 1);
    }

    // Shares as whole weights: those with the largest fractions get one more until the total is exact.
    static double[] Whole(ReadOnlySpan<int> sizes, double[] shares, double sparsity)
    {
        long left = TotalOf(sizes, sparsity);
        double[] counts = new double[shares.Length], fractions = new double[shares.Length];
        for (int m = 0; m < counts.Length; m++)
        {
            double count = shares[m] * sizes[m];
            // What is a whole number but for the last bits of a sum is one.
            counts[m] = Math.Min(sizes[m], Math.Floor(count + 1e-6));
            fractions[m] = count - counts[m];
            left -= (long)counts[m];
        }
        int[] order = [.. Enumerable.Range(0, counts.Length).OrderByDescending(m => fractions[m])];
        for (int i = 0; left > 0; i = (i + 1) % order.Length)
            if (counts[order[i]] < sizes[order[i]])
            {
                counts[order[i]]++;
                left--;
            }
        for (int m = 0; m < counts.Length; m++)
            counts[m] /= sizes[m];
        return counts;
    }
}

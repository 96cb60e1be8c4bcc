using System.Globalization;
using Coppice.Tensors;
using MathNet.Numerics.Distributions;

namespace Coppice.Federation.Splits;

/// <summary>
/// Each label's documents go to clients in shares of Dirichlet(alpha, ..., alpha), drawn anew for each label: label skew (Yurochkin et al. 2019; Li et al. 2022, "distribution-based label imbalance"). A small alpha gives a label to one client,
/// a large one to all alike. All labels are drawn again, at most 100 times, while a client has fewer than a least number of documents.
/// </summary>
/// <param name="alpha">Concentration, above 0.</param>
/// <param name="clients">Clients.</param>
/// <param name="least">Documents that each client gets at least.</param>
sealed class DirichletSplit(double alpha, int clients, int least) : ISplit
{
    const int Draws = 100;

    public string Name => string.Create(CultureInfo.InvariantCulture, $"dirichlet:{alpha}:{clients}:{least}");

    public bool UsesLabels => true;

    public IReadOnlyList<ClientShare> Deal(IReadOnlyList<string> labels, Random random)
    {
        double[] shares = new double[clients];
        for (int draw = 0; draw < Draws; draw++)
        {
            List<int>[] parts = [.. Enumerable.Range(0, clients).Select(_ => new List<int>())];
            foreach ((_, int[] documents) in Dealing.Shuffled(labels, random))
            {
                Sample(alpha, random, shares);
                foreach ((int client, ArraySegment<int> part) in Dealing.Cut(documents, shares).Index())
                    parts[client].AddRange(part);
            }
            if (parts.All(part => part.Count >= least))
                return Dealing.Name(parts);
        }
        throw new CoppiceException($"split '{Name}': {labels.Count:N0} documents of {labels.Distinct(StringComparer.Ordinal).Count():N0} labels left a client with fewer than {least:N0} in each of {Draws} draws; wanted a larger alpha or fewer clients");
    }

    /// <summary>
    /// A draw of Dirichlet(alpha, ..., alpha): gamma variates over their sum. Gamma(alpha) is Gamma(alpha + 1) U^(1 / alpha) (Marsaglia and Tsang 2000, section 6), taken in logarithms so that a small alpha does not make all of them 0.
    /// </summary>
    internal static void Sample(double alpha, Random random, Span<double> shares)
    {
        double most = double.NegativeInfinity, sum = 0;
        foreach (ref double share in shares)
        {
            share = Math.Log(Gamma.Sample(random, alpha + 1, 1)) + Math.Log(1 - random.NextDouble()) / alpha;
            most = Math.Max(most, share);
        }
        foreach (ref double share in shares)
            sum += share = Math.Exp(share - most);
        foreach (ref double share in shares)
            share /= sum;
    }
}

namespace Coppice.Compression.Structured;

/// <summary>The graph of neurons that are active together, and what is central in it.</summary>
public static class CoActivation
{
    /// <summary>Edges abs(G_ij) / sqrt(G_ii G_jj) between each neuron and the <paramref name="neighbours"/> that have most of it, both ways.</summary>
    /// <param name="gram">G [neurons, neurons], the mean of x x^T.</param>
    /// <param name="neurons">How many.</param>
    /// <param name="neighbours">Edges that a neuron has at least.</param>
    public static IReadOnlyList<IReadOnlyList<(int Node, double Weight)>> Graph(ReadOnlySpan<float> gram, int neurons, int neighbours)
    {
        SortedDictionary<int, double>[] edges = [.. Enumerable.Range(0, neurons).Select(_ => new SortedDictionary<int, double>())];
        double[] alike = new double[neurons];
        int[] order = new int[neurons];
        for (int i = 0; i < neurons; i++)
        {
            for (int j = 0; j < neurons; j++)
            {
                double size = Math.Sqrt((double)gram[i * neurons + i] * gram[j * neurons + j]);
                (alike[j], order[j]) = (i == j || size == 0 ? 0 : -Math.Abs(gram[i * neurons + j]) / size, j);
            }
            Array.Sort(alike, order);
            for (int k = 0; k < Math.Min(neighbours, neurons) && alike[k] < 0; k++)
                edges[i][order[k]] = edges[order[k]][i] = -alike[k];
        }
        return [.. edges.Select(own => own.Select(edge => (edge.Key, edge.Value)).ToArray())];
    }

    /// <summary>A neuron's degree within its community, itself included, where edges are abs(G_ij) ||w_i|| ||w_j||: how much of what the community adds to the outputs goes with it.</summary>
    /// <param name="gram">G [neurons, neurons].</param>
    /// <param name="squares">||w_i||^2 of the columns that read them.</param>
    /// <param name="community">Each neuron's community.</param>
    public static double[] Centrality(ReadOnlySpan<float> gram, ReadOnlySpan<double> squares, ReadOnlySpan<int> community)
    {
        double[] norms = new double[squares.Length], centrality = new double[squares.Length];
        for (int i = 0; i < norms.Length; i++)
            norms[i] = Math.Sqrt(squares[i]);
        for (int i = 0; i < norms.Length; i++)
            for (int j = 0; j < norms.Length; j++)
                if (community[i] == community[j])
                    centrality[i] += Math.Abs(gram[i * norms.Length + j]) * norms[i] * norms[j];
        return centrality;
    }

    /// <summary>The <paramref name="keep"/> neurons that stay: of each community its share, rounded by largest remainders, the most central ones.</summary>
    public static int[] Keep(ReadOnlySpan<int> community, ReadOnlySpan<double> centrality, int keep)
    {
        double[] scores = centrality.ToArray();
        int[][] members = [.. community.ToArray().Select((number, node) => (number, node)).GroupBy(pair => pair.number).OrderBy(group => group.Key).Select(group => group.Select(pair => pair.node).ToArray())];
        double[] shares = [.. members.Select(own => (double)own.Length * keep / scores.Length)];
        int[] quota = [.. shares.Select(share => (int)share)];
        int left = keep - quota.Sum();
        foreach (int number in Enumerable.Range(0, quota.Length).OrderByDescending(i => shares[i] - quota[i]).Take(left))
            quota[number]++;
        return [.. members.SelectMany((own, i) => Importance.Highest([.. own.Select(node => scores[node])], quota[i]).Select(place => own[place])).Order()];
    }
}

namespace Coppice.Compression.Structured;

/// <summary>Communities of a weighted graph: nodes move to the neighbours' community that raises modularity most, then communities become nodes, until nothing moves (Louvain, Blondel et al. 2008).</summary>
public static class Communities
{
    // Sweeps over one level's nodes; moves that still raise modularity after so many are tiny.
    const int MostSweeps = 20;

    /// <summary>Finds them.</summary>
    /// <param name="edges">Of each node its neighbours and the edges' weights (not negative), both ways alike; an edge to itself counts once.</param>
    /// <returns>Each node's community, numbered from 0 in the order of their first nodes.</returns>
    public static int[] Find(IReadOnlyList<IReadOnlyList<(int Node, double Weight)>> edges)
    {
        int[] community = [.. Enumerable.Range(0, edges.Count)];
        while (true)
        {
            int[] moved = Move(edges);
            int count = moved.Max() + 1;
            for (int i = 0; i < community.Length; i++)
                community[i] = moved[community[i]];
            if (count == edges.Count)
                return community;
            edges = Merged(edges, moved, count);
        }
    }

    // Gain of joining community c, but for a constant: the node's edges into c - its degree * c's degree / (2 m).
    static int[] Move(IReadOnlyList<IReadOnlyList<(int Node, double Weight)>> edges)
    {
        int nodes = edges.Count;
        int[] community = [.. Enumerable.Range(0, nodes)];
        double[] degree = [.. edges.Select(own => own.Sum(edge => edge.Weight))], total = [.. degree], into = new double[nodes];
        double all = degree.Sum();
        bool isMoving = all > 0;
        for (int sweep = 0; isMoving && sweep < MostSweeps; sweep++)
        {
            isMoving = false;
            for (int node = 0; node < nodes; node++)
            {
                int own = community[node];
                total[own] -= degree[node];
                foreach ((int neighbour, double weight) in edges[node])
                    if (neighbour != node)
                        into[community[neighbour]] += weight;
                int best = own;
                double gain = into[own] - degree[node] * total[own] / all;
                foreach ((int neighbour, _) in edges[node])
                    if (community[neighbour] is int other && into[other] - degree[node] * total[other] / all is double more && more > gain + 1e-12 * all)
                        (best, gain) = (other, more);
                foreach ((int neighbour, _) in edges[node])
                    into[community[neighbour]] = 0;
                total[best] += degree[node];
                isMoving |= best != own;
                community[node] = best;
            }
        }
        Dictionary<int, int> numbers = [];
        return [.. community.Select(old => numbers.TryGetValue(old, out int number) ? number : numbers[old] = numbers.Count)];
    }

    static List<IReadOnlyList<(int Node, double Weight)>> Merged(IReadOnlyList<IReadOnlyList<(int Node, double Weight)>> edges, int[] community, int count)
    {
        SortedDictionary<int, double>[] merged = [.. Enumerable.Range(0, count).Select(_ => new SortedDictionary<int, double>())];
        for (int node = 0; node < edges.Count; node++)
            foreach ((int neighbour, double weight) in edges[node])
            {
                SortedDictionary<int, double> own = merged[community[node]];
                own[community[neighbour]] = own.GetValueOrDefault(community[neighbour]) + weight;
            }
        return [.. merged.Select(own => own.Select(pair => (pair.Key, pair.Value)).ToArray())];
    }
}

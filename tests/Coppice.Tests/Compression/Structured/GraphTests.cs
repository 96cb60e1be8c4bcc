using Coppice.Compression.Structured;

namespace Coppice.Tests.Compression.Structured;

public class GraphTests
{
    [Fact]
    public void Two_cliques_with_a_bridge_are_two_communities()
    {
        List<(int, double)>[] edges = [.. Enumerable.Range(0, 8).Select(_ => new List<(int, double)>())];
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++)
                if (i != j && i % 2 == j % 2)
                    edges[i].Add((j, 1));
        edges[0].Add((1, 0.5));
        edges[1].Add((0, 0.5));
        Assert.Equal([0, 1, 0, 1, 0, 1, 0, 1], Communities.Find(edges));
    }

    [Fact]
    public void Nodes_without_edges_stay_apart() => Assert.Equal([0, 1, 2], Communities.Find([[], [], []]));

    [Fact]
    public void A_ring_of_cliques_is_found_clique_by_clique()
    {
        // Six cliques of five, each joined to the next by one edge: the partition of highest modularity.
        List<(int, double)>[] edges = [.. Enumerable.Range(0, 30).Select(_ => new List<(int, double)>())];
        for (int i = 0; i < 30; i++)
        {
            for (int j = 0; j < 30; j++)
                if (i != j && i / 5 == j / 5)
                    edges[i].Add((j, 1));
            if (i % 5 == 0)
            {
                int last = (i + 29) % 30;
                edges[i].Add((last, 1));
                edges[last].Add((i, 1));
            }
        }
        Assert.Equal(Enumerable.Range(0, 30).Select(i => i / 5), Communities.Find(edges));
    }

    [Fact]
    public void Edges_are_cosines_to_the_nearest()
    {
        // cos(0, 1) = 0.6, cos(0, 2) = 0.2, cos(1, 2) = 0.8.
        float[] gram = [4, 1.2f, -0.4f, 1.2f, 1, 0.8f, -0.4f, 0.8f, 1];
        IReadOnlyList<IReadOnlyList<(int Node, double Weight)>> graph = CoActivation.Graph(gram, 3, 1);
        Assert.Equal([(1, 0.6)], Rounded(graph[0]));
        Assert.Equal([(0, 0.6), (2, 0.8)], Rounded(graph[1]));
        Assert.Equal([(1, 0.8)], Rounded(graph[2]));

        static IEnumerable<(int, double)> Rounded(IReadOnlyList<(int Node, double Weight)> edges) => edges.Select(edge => (edge.Node, Math.Round(edge.Weight, 6)));
    }

    [Fact]
    public void What_is_central_adds_most_together_with_its_community()
    {
        float[] gram = [4, -2, 9, -2, 1, 9, 9, 9, 1];
        // Norms 1, 2, 3: 4 + 2 * 2 and 2 * 2 + 4 within the first community, 9 in the second.
        Assert.Equal([8, 8, 9], CoActivation.Centrality(gram, [1, 4, 9], [0, 0, 1]));
    }

    [Fact]
    public void Each_community_keeps_its_share()
    {
        // Sizes 4 and 2, of which 3 stay: 2 and 1.
        Assert.Equal([1, 3, 4], CoActivation.Keep([0, 0, 0, 0, 1, 1], [1, 5, 2, 4, 0.5, 0.1], 3));
        // Of 1.33 and 0.67 the larger remainder is rounded up.
        Assert.Equal([1, 4], CoActivation.Keep([0, 0, 0, 0, 1, 1], [1, 5, 2, 4, 0.5, 0.1], 2));
    }
}

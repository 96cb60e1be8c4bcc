using System.Globalization;
using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>Neurons as nodes, joined where they are active together: each community of the graph keeps its share of neurons, those that are most central in it.</summary>
public sealed record GraphPruning : NeuronStep
{
    /// <inheritdoc/>
    public override string Key => "graphPruning";

    /// <summary>Edges that a neuron has at least: to those that it is most often active with.</summary>
    public int Neighbours { get; init; } = 16;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("neighbours", Neighbours.ToString(CultureInfo.InvariantCulture)), .. base.Options];

    internal static GraphPruning Read(OptionReader options) => ReadCommon(options, new GraphPruning { Neighbours = options.Int("neighbours", 16, 1, 4096) });

    private protected override Statistics Needs => Statistics.Gram;

    private protected override NeuronChoice Choose(FeedForward part, Inputs? inputs, int keep, ModelWork work)
    {
        if (inputs is null)
            return PruneNeurons.ByWeights(part, keep);
        int all = part.Down.Weight.Columns;
        IReadOnlyList<IReadOnlyList<(int Node, double Weight)>> graph = CoActivation.Graph(inputs.Products!.Gram, all, Neighbours);
        int[] community = Communities.Find(graph);
        double[] squares = Importance.ColumnSquares(part.Down.Weight);
        double[] centrality = CoActivation.Centrality(inputs.Products.Gram, squares, community);
        int[] kept = CoActivation.Keep(community, centrality, keep);
        return new NeuronChoice(kept, string.Create(CultureInfo.InvariantCulture, $"the least central of {community.Max() + 1} communities, with {100 * Importance.ShareGone(centrality, kept):0.00} % of the centrality"));
    }
}

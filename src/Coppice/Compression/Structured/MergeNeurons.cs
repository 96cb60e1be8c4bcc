using System.Globalization;
using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>Merges neurons that are active alike: the one goes, and its column of the down projection is added, scaled, to the other's.</summary>
public sealed record MergeNeurons : NeuronStep
{
    /// <inheritdoc/>
    public override string Key => "mergeNeurons";

    internal static MergeNeurons Read(OptionReader options) => ReadCommon(options, new MergeNeurons());

    private protected override Statistics Needs => Statistics.Gram;

    private protected override NeuronChoice Choose(FeedForward part, Inputs? inputs, int keep, ModelWork work)
    {
        if (inputs is null)
            return PruneNeurons.ByWeights(part, keep);
        int all = part.Down.Weight.Columns;
        float[] down = part.Down.Weight.ToDense();
        (int[] kept, Merge[] merges) = Merging.Run(inputs.Products!.Gram, all, down, keep, work.Cancel);
        return new NeuronChoice(kept, string.Create(CultureInfo.InvariantCulture, $"merged into those most alike, of which {100 * merges.Average(merge => merge.Unlike):0.0} % of the mean square was not"), Columns.Of(part.Down.Weight, down, kept));
    }
}

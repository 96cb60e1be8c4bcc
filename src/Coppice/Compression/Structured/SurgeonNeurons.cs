using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>Takes out neurons one after another, each time the one that costs least once the others make up for it (ZipLM, Kurtic et al. 2023).</summary>
public sealed record SurgeonNeurons : NeuronStep
{
    /// <inheritdoc/>
    public override string Key => "surgeonNeurons";

    internal static SurgeonNeurons Read(OptionReader options) => ReadCommon(options, new SurgeonNeurons());

    private protected override Statistics Needs => Statistics.Gram;

    private protected override NeuronChoice Choose(FeedForward part, Inputs? inputs, int keep, ModelWork work)
    {
        if (inputs is null)
            return PruneNeurons.ByWeights(part, keep);
        int all = part.Down.Weight.Columns;
        float[] down = part.Down.Weight.ToDense();
        double[] squares = Importance.ColumnSquares(part.Down.Weight);
        Importance.Contributions(inputs.Moments.MeanSquares, squares, squares);
        (int[] kept, double cost) = Surgeon.Run(work.Pool, inputs.Products!.Gram, all, down, keep, Dampening, work.Cancel);
        double sum = TensorPrimitives.Sum<double>(squares);
        return new NeuronChoice(kept, string.Create(CultureInfo.InvariantCulture, $"for {(sum == 0 ? 0 : 100 * cost / sum):0.00} % of what all add by themselves"), Columns.Of(part.Down.Weight, down, kept));
    }
}

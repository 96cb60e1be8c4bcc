using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>Merges channels of the residual stream that are active alike: the one goes, and what reads it reads it from the other, scaled.</summary>
public sealed record MergeChannels : ChannelStep
{
    /// <inheritdoc/>
    public override string Key => "mergeChannels";

    internal static MergeChannels Read(OptionReader options) => ReadCommon(options, new MergeChannels());

    private protected override Statistics Needs => Statistics.Gram;

    // One product matrix for all layers, to which each that reads the stream adds its inputs' at the same size; a channel costs what the readers make of it in the mean.
    private protected override ChannelChoice Choose(DecoderModel model, ModelWork work, int keep)
    {
        int width = model.Width;
        float[] gram = new float[width * width], norms = new float[width];
        double[] squares = new double[width];
        Gather(model, work, block => Groups(block).Select(group => group[0]), (layer, inputs) =>
        {
            foreach (IReadOnlyList<Linear> group in Groups(model.Blocks[layer]))
            {
                InputStatistics seen = inputs[group[0]].Products!;
                double size = seen.MeanOfSquares;
                if (size > 0)
                    TensorPrimitives.MultiplyAdd(seen.Gram, (float)(1 / size), gram, gram);
                foreach (Linear reader in group)
                {
                    double[] own = Importance.ColumnSquares(reader.Weight);
                    if (TensorPrimitives.Sum<double>(own) is > 0 and double sum)
                        TensorPrimitives.MultiplyAdd(own, 1 / sum, squares, squares);
                }
            }
        });
        for (int channel = 0; channel < width; channel++)
            norms[channel] = (float)Math.Sqrt(squares[channel]);
        (int[] kept, Merge[] merges) = Merging.Run(gram, width, norms, keep, work.Cancel);
        return new ChannelChoice(kept, string.Create(CultureInfo.InvariantCulture, $"merged into those most alike, of which {100 * merges.Average(merge => merge.Unlike):0.0} % of the mean square was not"), merges);
    }
}

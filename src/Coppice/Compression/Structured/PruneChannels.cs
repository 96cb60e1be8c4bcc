using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Structured;

/// <summary>Takes out the channels of lowest score (Ma et al. 2023; Muralidharan et al. 2024).</summary>
public sealed record PruneChannels : ChannelStep
{
    /// <inheritdoc/>
    public override string Key => "pruneChannels";

    /// <summary>What tells how much a channel matters.</summary>
    public UnitScore Score { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("score", UnitScores.NameOf(Score)), .. base.Options];

    internal static PruneChannels Read(OptionReader options) => ReadCommon(options, new PruneChannels { Score = UnitScores.Read(options) });

    private protected override Statistics Needs => UnitScores.ReadsText(Score) ? Statistics.ColumnNorms : Statistics.None;

    private protected override ChannelChoice Choose(DecoderModel model, ModelWork work, int keep)
    {
        double[] scores = Score switch
        {
            UnitScore.Random => [.. Enumerable.Range(0, model.Width).Select(_ => work.Random.NextDouble())],
            UnitScore.WeightNorm => WeightSquares(model),
            UnitScore.Taylor => TaylorScores.Of(model, work, [[.. model.Blocks.SelectMany(Readers), model.Config.Head == HeadKind.Untied ? model.Output : model.Embedding]])[0],
            _ => Shares(model, work),
        };
        int[] kept = Importance.Highest(scores, keep);
        return new ChannelChoice(kept, string.Create(CultureInfo.InvariantCulture, $"with {100 * Importance.ShareGone(scores, kept):0.00} % of the score"));
    }

    // Squares of all weights that meet a channel: columns of what reads the stream, rows of what writes to it.
    static double[] WeightSquares(DecoderModel model)
    {
        double[] sums = Importance.ColumnSquares(model.Embedding.Weight);
        if (model.Config.Head == HeadKind.Untied)
            Importance.Add(Importance.ColumnSquares(model.Output.Weight), sums);
        foreach (TransformerBlock block in model.Blocks)
        {
            foreach (Linear reader in Readers(block))
                Importance.Add(Importance.ColumnSquares(reader.Weight), sums);
            foreach (Linear writer in (IEnumerable<Linear>)[block.Attention.Output, .. KeptUnits.Parts(block.FeedForward).Select(part => part.Down)])
                Importance.Add(Importance.RowSquares(writer.Weight), sums);
        }
        return sums;
    }

    // The mean over all that read the stream of the share that a channel has in what they make of it: they differ in size, and layers do.
    double[] Shares(DecoderModel model, ModelWork work)
    {
        Dictionary<Linear, Moments> inputs = model.Blocks.SelectMany(Readers).Append(model.Output).ToDictionary(reader => reader, _ => new Moments(model.Width));
        BlockWalk walk = new(model, work)
        {
            Reads = (_, linear, x) =>
            {
                if (inputs.TryGetValue(linear, out Moments? moments))
                    moments.Add(x.Data);
            },
        };
        walk.Run();
        ForwardContext context = new(work.Pool);
        foreach (Tensor hidden in walk.Hidden)
        {
            inputs[model.Output].Add(model.FinalNorm.Forward(hidden, context).Data);
            context.Reset();
        }
        double[] sums = new double[model.Width], shares = new double[model.Width];
        foreach ((Linear reader, Moments moments) in inputs)
        {
            Importance.Contributions(Score == UnitScore.ActivationVariance ? moments.Variances : moments.MeanSquares, Importance.ColumnSquares(reader.Weight), shares);
            if (TensorPrimitives.Sum<double>(shares) is > 0 and double all)
                TensorPrimitives.MultiplyAdd(shares, 1 / (all * inputs.Count), sums, sums);
        }
        return sums;
    }
}

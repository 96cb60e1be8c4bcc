using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Structured;

/// <summary>Takes a share of the residual stream's channels out of the whole model: of every matrix that reads or writes it (Ma et al. 2023; Muralidharan et al. 2024).</summary>
public sealed record PruneChannels : CompensatingStep
{
    /// <inheritdoc/>
    public override string Key => "pruneChannels";

    /// <summary>The share that goes, above 0 and below 1.</summary>
    public double Share { get; init; } = 0.2;

    /// <summary>What tells how much a channel matters.</summary>
    public UnitScore Score { get; init; }

    /// <summary>The new width is a multiple of this.</summary>
    public int Multiple { get; init; } = 32;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("score", UnitScores.NameOf(Score)), ("share", Number(Share)), ("multiple", Multiple.ToString(CultureInfo.InvariantCulture)), .. base.Options];

    internal static PruneChannels Read(OptionReader options) => ReadCompensation(options, new PruneChannels
    {
        Share = options.Between("share", 0.2, 0, 1),
        Score = UnitScores.Read(options),
        Multiple = options.Int("multiple", 32, 1, 4096),
    });

    private protected override Statistics Needs => UnitScores.ReadsText(Score) ? Statistics.ColumnNorms : Statistics.None;

    /// <inheritdoc/>
    protected override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        int keep = CountKept("channels", model.Width, Share, Multiple);
        KeptUnits all = KeptUnits.All(model);
        // Before any work: the sizes do not depend on which channels go.
        ShrunkConfig.Of(model.Config, all with { Channels = [.. Enumerable.Range(0, keep)] });
        double[] scores = Score switch
        {
            UnitScore.Random => [.. all.Channels.Select(_ => work.Random.NextDouble())],
            UnitScore.WeightNorm => WeightSquares(model),
            _ => Shares(model, work),
        };
        int[] kept = Importance.Highest(scores, keep);
        work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"{model.Width - keep} of {model.Width} channels went, with {100 * Importance.ShareGone(scores, kept):0.00} % of the score"));
        DecoderModel small = Shrinking.Apply(model, all with { Channels = kept });
        if (Reconstruct == Compensation.LeastSquares)
            Gather(model, work, block => Groups(block).Select(group => group[0]), (layer, inputs) =>
            {
                foreach ((IReadOnlyList<Linear> group, IReadOnlyList<Linear> smaller) in Groups(model.Blocks[layer]).Zip(Groups(small.Blocks[layer])))
                    foreach ((Linear reader, Linear after) in group.Zip(smaller))
                        if (inputs[group[0]].Moments.Tokens >= FewestTokens)
                            Reconstruction.Of(work, reader, kept, inputs[group[0]], Dampening).Put(after);
            });
        return small;
    }

    // What reads the stream, in groups with one input.
    static IEnumerable<IReadOnlyList<Linear>> Groups(TransformerBlock block)
    {
        HashSet<Linear> readers = [.. Readers(block)];
        return block.Stages.SelectMany(stage => stage.Groups).Where(group => readers.Contains(group[0]));
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

    static IEnumerable<Linear> Readers(TransformerBlock block) =>
        [block.Attention.Query, block.Attention.Key, block.Attention.Value, .. block.FeedForward.Routers, .. KeptUnits.Parts(block.FeedForward).SelectMany(part => part.ReadTogether)];
}

using System.Globalization;
using Coppice.Models;
using Coppice.Weights;

namespace Coppice.Compression.Structured;

/// <summary>A step that takes a share of the residual stream's channels out of the whole model: out of every matrix that reads or writes it.</summary>
public abstract record ChannelStep : CompensatingStep
{
    /// <summary>The share that goes, above 0 and below 1.</summary>
    public double Share { get; init; } = 0.2;

    /// <summary>The new width is a multiple of this.</summary>
    public int Multiple { get; init; } = 32;

    /// <summary>What stays, <paramref name="keep"/> channels.</summary>
    private protected abstract ChannelChoice Choose(DecoderModel model, ModelWork work, int keep);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("share", Number(Share)), ("multiple", Multiple.ToString(CultureInfo.InvariantCulture)), .. base.Options];

    private protected static T ReadCommon<T>(OptionReader options, T step) where T : ChannelStep =>
        ReadCompensation(options, step with { Share = options.Between("share", step.Share, 0, 1), Multiple = options.Int("multiple", step.Multiple, 1, 4096) });

    /// <inheritdoc/>
    protected sealed override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        int keep = CountKept("channels", model.Width, Share, Multiple);
        KeptUnits all = KeptUnits.All(model);
        // Before any work: the sizes do not depend on which channels go.
        ShrunkConfig.Of(model.Config, all with { Channels = [.. Enumerable.Range(0, keep)] });
        ChannelChoice choice = Choose(model, work, keep);
        work.Notes.Add($"{model.Width - keep} of {model.Width} channels went, {choice.Note}");
        DecoderModel small = Shrinking.Apply(model, all with { Channels = choice.Kept });
        if (Reconstruct == Compensation.LeastSquares)
            Gather(model, work, block => Groups(block).Select(group => group[0]), (layer, inputs) =>
            {
                foreach ((IReadOnlyList<Linear> group, IReadOnlyList<Linear> smaller) in Groups(model.Blocks[layer]).Zip(Groups(small.Blocks[layer])))
                    foreach ((Linear reader, Linear after) in group.Zip(smaller))
                        if (inputs[group[0]].Moments.Tokens >= FewestTokens)
                            Reconstruction.Of(work, reader, choice.Kept, inputs[group[0]], Dampening).Put(after);
            });
        else if (choice.Merges is { } merges)
            foreach ((Linear reader, Linear after) in model.Blocks.SelectMany(Readers).Zip(small.Blocks.SelectMany(Readers)))
                after.Weight = Merged(reader.Weight, merges, choice.Kept);
        return small;
    }

    static Weight Merged(Weight weight, IReadOnlyList<Merge> merges, int[] kept)
    {
        float[] numbers = weight.ToDense();
        foreach (Merge merge in merges)
            Merging.Apply(merge, numbers, weight.Columns);
        return Columns.Of(weight, numbers, kept);
    }

    /// <summary>What reads the stream in a block, in groups with one input.</summary>
    private protected static IEnumerable<IReadOnlyList<Linear>> Groups(TransformerBlock block)
    {
        HashSet<Linear> readers = [.. Readers(block)];
        return block.Stages.SelectMany(stage => stage.Groups).Where(group => readers.Contains(group[0]));
    }

    /// <summary>What reads the stream in a block.</summary>
    private protected static IEnumerable<Linear> Readers(TransformerBlock block) =>
        [block.Attention.Query, block.Attention.Key, block.Attention.Value, .. block.FeedForward.Routers, .. KeptUnits.Parts(block.FeedForward).SelectMany(part => part.ReadTogether)];
}

/// <summary>What stays of the residual stream.</summary>
/// <param name="Kept">Its channels, ascending.</param>
/// <param name="Note">What went with the others, in words.</param>
/// <param name="Merges">Into which of those that stay the others were merged, in this order; none where null.</param>
sealed record ChannelChoice(int[] Kept, string Note, IReadOnlyList<Merge>? Merges = null);

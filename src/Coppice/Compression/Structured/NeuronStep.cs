using System.Globalization;
using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>A step that leaves every feed-forward part fewer neurons: a row of gate and up and a column of down each. All layers lose as many, each chooses its own; in a mixture each expert does.</summary>
public abstract record NeuronStep : CompensatingStep
{
    /// <summary>The share that goes, above 0 and below 1.</summary>
    public double Share { get; init; } = 0.2;

    /// <summary>How many stay is a multiple of this, so that groups and blocks of quantized weights still fit.</summary>
    public int Multiple { get; init; } = 32;

    /// <summary>What stays of a part, <paramref name="keep"/> neurons; <paramref name="inputs"/> is null where calibration does not tell.</summary>
    private protected abstract NeuronChoice Choose(FeedForward part, Inputs? inputs, int keep, ModelWork work);

    /// <summary>Scores of the neurons of each part, in order, that need a look at the whole model; null where <see cref="Choose"/> needs none.</summary>
    private protected virtual double[][]? Prepare(DecoderModel model, ModelWork work) => null;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("share", Number(Share)), ("multiple", Multiple.ToString(CultureInfo.InvariantCulture)), .. base.Options];

    private protected static T ReadCommon<T>(OptionReader options, T step) where T : NeuronStep =>
        ReadCompensation(options, step with { Share = options.Between("share", step.Share, 0, 1), Multiple = options.Int("multiple", step.Multiple, 1, 4096) });

    /// <inheritdoc/>
    protected sealed override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        Dictionary<Linear, double[]> scores = Prepare(model, work) is { } prepared ? Parts(model).Zip(prepared).ToDictionary(pair => pair.First.Down, pair => pair.Second) : [];
        NeuronChoice[][] choices = new NeuronChoice[model.Blocks.Count][];
        Gather(model, work, block => KeptUnits.Parts(block.FeedForward).Select(part => part.Down), (layer, inputs) =>
            choices[layer] = [.. KeptUnits.Parts(model.Blocks[layer].FeedForward).Select((part, i) => Settled(layer, i, part, inputs.GetValueOrDefault(part.Down), scores.GetValueOrDefault(part.Down), work))]);
        KeptUnits all = KeptUnits.All(model);
        DecoderModel small = Shrinking.Apply(model, all with { Layers = [.. all.Layers.Select(layer => layer with { Neurons = [.. choices[layer.Layer].Select(choice => choice.Kept)] })] });
        for (int layer = 0; layer < choices.Length; layer++)
            foreach ((NeuronChoice choice, FeedForward part) in choices[layer].Zip(KeptUnits.Parts(small.Blocks[layer].FeedForward)))
            {
                part.Down.Weight = choice.Down ?? part.Down.Weight;
                choice.Bias?.CopyTo(part.Down.Bias!.Data);
            }
        return small;
    }

    /// <summary>The feed-forward parts of all layers.</summary>
    private protected static IEnumerable<FeedForward> Parts(DecoderModel model) => model.Blocks.SelectMany(block => KeptUnits.Parts(block.FeedForward));

    NeuronChoice Settled(int layer, int index, FeedForward part, Inputs? inputs, double[]? scores, ModelWork work)
    {
        work.Cancel.ThrowIfCancellationRequested();
        int all = part.Down.Weight.Columns;
        string name = work.Model is DecoderModel { Config.Experts: { } experts } && experts.Has(layer) ? $"layer {layer}, expert {index}" : $"layer {layer}";
        if (inputs is { Moments.Tokens: < FewestTokens } && name.Contains("expert", StringComparison.Ordinal))
        {
            work.Warnings.Add($"{name}: {inputs.Moments.Tokens} calibration tokens reach it, fewer than {FewestTokens}: its neurons went by the norm of their weights");
            inputs = null;
        }
        int keep = CountKept("neurons", all, Share, Multiple);
        NeuronChoice choice = inputs is not null && scores is not null ? NeuronChoice.Highest(scores, keep) : Choose(part, inputs, keep, work);
        string note = string.Create(CultureInfo.InvariantCulture, $"{name}: {all - choice.Kept.Length} of {all} neurons went, {choice.Note}");
        if (Reconstruct == Compensation.LeastSquares && inputs is not null)
        {
            Reconstruction rebuilt = Reconstruction.Of(work, part.Down, choice.Kept, inputs, Dampening);
            note += rebuilt.Note;
            choice = choice with { Down = rebuilt.Weights, Bias = rebuilt.Bias };
        }
        work.Notes.Add(note);
        return choice;
    }
}

/// <summary>What stays of a feed-forward part.</summary>
/// <param name="Kept">Its neurons, ascending.</param>
/// <param name="Note">What went with the others, in words.</param>
/// <param name="Down">Another down projection [width, kept]; the kept columns of the old one where null.</param>
/// <param name="Bias">Its bias; the old one where null.</param>
sealed record NeuronChoice(int[] Kept, string Note, Weights.Weight? Down = null, float[]? Bias = null)
{
    /// <summary>Those with the highest scores stay.</summary>
    public static NeuronChoice Highest(double[] scores, int keep)
    {
        int[] kept = Importance.Highest(scores, keep);
        return new NeuronChoice(kept, string.Create(CultureInfo.InvariantCulture, $"with {100 * Importance.ShareGone(scores, kept):0.00} % of the score"));
    }
}

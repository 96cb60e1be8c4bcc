using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>A step after which matrices have fewer inputs, of which those that stay may make up for those that went.</summary>
public abstract record CompensatingStep : StructuredStep
{
    /// <summary>Of fewer tokens than this, which an expert may see, activations say little.</summary>
    private protected const int FewestTokens = 32;

    /// <summary>Who makes up for what went.</summary>
    public Compensation Reconstruct { get; init; }

    /// <summary>What least squares add to the diagonal of the inputs' products, as a share of the mean.</summary>
    public double Dampening { get; init; } = 0.01;

    /// <summary>What it has to know about inputs to choose.</summary>
    private protected abstract Statistics Needs { get; }

    /// <summary>What is gathered.</summary>
    private protected Statistics Gathered => Reconstruct == Compensation.None ? Needs : Statistics.Gram;

    /// <inheritdoc/>
    public sealed override bool NeedsCalibration => Gathered != Statistics.None;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
        Reconstruct == Compensation.None ? [("reconstruct", "false")] : [("reconstruct", "true"), ("dampening", Number(Dampening))];

    private protected static T ReadCompensation<T>(OptionReader options, T step) where T : CompensatingStep
    {
        Compensation compensation = options.Choice("reconstruct", Compensation.None, ("false", Compensation.None), ("true", Compensation.LeastSquares));
        if (compensation == Compensation.None && options.Has("dampening"))
            throw options.Wrong("dampening", "nothing unless reconstruct is true");
        return step with { Reconstruct = compensation, Dampening = options.Between("dampening", step.Dampening, 0, 1) };
    }

    /// <summary>Goes through the model with the text, a block at a time: makes room for what is gathered of the inputs of <paramref name="readers"/>, and gives it to <paramref name="settle"/> when all text has passed; without a need for text only that.</summary>
    private protected void Gather(DecoderModel model, ModelWork work, Func<TransformerBlock, IEnumerable<Linear>> readers, Action<int, IReadOnlyDictionary<Linear, Inputs>> settle)
    {
        Dictionary<Linear, Inputs> inputs = [];
        if (!NeedsCalibration)
            for (int layer = 0; layer < model.Blocks.Count; layer++)
                settle(layer, inputs);
        else
            new BlockWalk(model, work)
            {
                Entered = layer =>
                {
                    foreach (Linear reader in readers(model.Blocks[layer]))
                        inputs.Add(reader, new Inputs(reader.Weight.Columns, Gathered));
                },
                Reads = (_, linear, x) => inputs.GetValueOrDefault(linear)?.Add(work.Pool, x.Data),
                Left = layer =>
                {
                    settle(layer, inputs);
                    // Products of all pairs are the most that is held: one layer's.
                    inputs.Clear();
                },
            }.Run();
    }
}

/// <summary>Who makes up for what went.</summary>
public enum Compensation
{
    /// <summary>Nobody.</summary>
    None,

    /// <summary>What stays, by least squares on calibration's inputs.</summary>
    LeastSquares,
}

using System.Collections.Immutable;
using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>Leaves out the layers that change least of what passes through them (ShortGPT, Men et al. 2024), or given ones.</summary>
public sealed record DropLayers : StructuredStep
{
    static readonly (string Word, LayerScore Value)[] words = [("blockInfluence", LayerScore.BlockInfluence), ("taylor", LayerScore.Taylor), ("random", LayerScore.Random)];

    /// <inheritdoc/>
    public override string Key => "dropLayers";

    /// <summary>How many go; <see cref="Share"/> says where null.</summary>
    public int? Count { get; init; }

    /// <summary>The share that goes, above 0 and below 1; the paper drops about a quarter.</summary>
    public double Share { get; init; } = 0.25;

    /// <summary>Which go, by number from 0; chosen by <see cref="Score"/> where empty.</summary>
    public ImmutableArray<int> Layers { get; init; } = [];

    /// <summary>What tells how much a layer matters.</summary>
    public LayerScore Score { get; init; }

    /// <inheritdoc/>
    public override bool NeedsCalibration => Layers.IsEmpty && Score != LayerScore.Random;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => !Layers.IsEmpty
        ? [("layers", $"[{string.Join(", ", Layers)}]")]
        : [Count is { } count ? ("count", count.ToString(CultureInfo.InvariantCulture)) : ("share", Number(Share)), ("score", Array.Find(words, word => word.Value == Score).Word)];

    internal static DropLayers Read(OptionReader options)
    {
        ImmutableArray<int> layers = [.. options.Names("layers").Select(name => int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int layer) ? layer : throw options.Wrong("layers", "a list of layers' numbers, such as [3, 4]"))];
        foreach (string name in new[] { "count", "share", "score" })
            if (options.Has(name) && (!layers.IsEmpty || name == "share" && options.Has("count")))
                throw options.Wrong(name, $"nothing beside {(layers.IsEmpty ? "count" : "layers")}");
        return new DropLayers
        {
            Layers = layers,
            Count = options.Has("count") ? options.Int("count", 1, 1, 4096) : null,
            Share = options.Between("share", 0.25, 0, 1),
            Score = options.Choice("score", LayerScore.BlockInfluence, words),
        };
    }

    /// <inheritdoc/>
    protected override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        int all = model.Blocks.Count;
        int[] kept = Layers.IsEmpty ? Chosen(model, work) : [.. Enumerable.Range(0, all).Except(Layers)];
        if (Layers.FirstOrDefault(layer => layer >= all, -1) is >= 0 and int absent)
            throw new CoppiceException($"{Key}: there is no layer {absent}, the model has layers 0 to {all - 1}");
        if (kept.Length == 0)
            throw new CoppiceException($"{Key}: all {all} layers would go");
        foreach (int layer in Layers)
            work.Notes.Add($"layer {layer} went");
        KeptUnits units = KeptUnits.All(model);
        return Shrinking.Apply(model, units with { Layers = [.. kept.Select(layer => units.Layers[layer])] });
    }

    // Where layers with and without a window take turns, runs of a whole turn go together, so that the others keep their kind.
    int[] Chosen(DecoderModel model, ModelWork work)
    {
        int all = model.Blocks.Count, run = model.Config.Window is not null ? Math.Max(1, model.Config.WindowPattern) : 1, runs = all / run;
        int gone = Count ?? all - CountKept("layers", all, Share, run);
        if (gone >= all || gone % run != 0 || gone / run > runs)
            throw new CoppiceException($"{Key}: {gone} of {all} layers cannot go; {(run > 1 ? $"a {model.Config.Family} model loses them {run} at a time, and " : "")}at least one stays");
        double[] scores = Score switch
        {
            LayerScore.Random => [.. Enumerable.Range(0, runs).Select(_ => work.Random.NextDouble())],
            LayerScore.Taylor => TaylorScores.OfAll(model, work, [.. Enumerable.Range(0, runs).Select(place => Matrices(model, place * run, run))]),
            _ => Influences(model, work, run, runs),
        };
        int[] kept = Importance.Highest(scores, runs - gone / run);
        foreach (int place in Enumerable.Range(0, runs).Except(kept))
            work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"{(run == 1 ? $"layer {place}" : $"layers {place * run} to {place * run + run - 1}")} went{(Score == LayerScore.Random ? "" : $": {(Score == LayerScore.Taylor ? "sum of abs(w g)" : "block influence")} {scores[place]:0.0000}, {scores.Average():0.0000} in the mean")}"));
        return [.. kept.SelectMany(place => Enumerable.Range(place * run, run)), .. Enumerable.Range(runs * run, all - runs * run)];
    }

    static IReadOnlyList<MatrixLayer> Matrices(DecoderModel model, int first, int count) =>
        [.. model.Blocks.Skip(first).Take(count).SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices)];

    static double[] Influences(DecoderModel model, ModelWork work, int run, int runs)
    {
        double[] sums = new double[runs];
        Dictionary<int, float[]> entered = [];
        BlockWalk walk = new(model, work)
        {
            Passed = (layer, batch, before, after) =>
            {
                if (layer >= runs * run)
                    return;
                if (layer % run == 0)
                    entered[batch] = before.Data.ToArray();
                if (layer % run == run - 1)
                    sums[layer / run] += BlockInfluence.Sum(entered[batch], after.Data, model.Width);
            },
        };
        walk.Run();
        return [.. sums.Select(sum => sum / walk.Tokens)];
    }
}

/// <summary>What tells how much a layer matters.</summary>
public enum LayerScore
{
    /// <summary>1 - cos(what enters, what leaves), the mean over tokens.</summary>
    BlockInfluence,

    /// <summary>The sum over all of its weights of abs(w g), with g the mean gradient of the loss (Kim et al. 2024).</summary>
    Taylor,

    /// <summary>By lot: the floor.</summary>
    Random,
}

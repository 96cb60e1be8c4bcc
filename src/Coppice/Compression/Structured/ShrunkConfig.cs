using Coppice.Models;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>A decoder's settings once only some of its units are left.</summary>
static class ShrunkConfig
{
    /// <summary>The settings; equal to those before where everything stays.</summary>
    /// <exception cref="CoppiceException">The family's settings cannot say it.</exception>
    /// <exception cref="ArgumentException">Layers lose unequally much.</exception>
    public static DecoderConfig Of(DecoderConfig config, KeptUnits kept)
    {
        KeptLayer first = kept.Layers[0];
        foreach (KeptLayer layer in kept.Layers)
            CheckHeads(config, layer, first);
        int width = kept.Channels.Length;
        DecoderConfig shrunk = config with
        {
            LayerCount = kept.Layers.Count,
            HiddenSize = width,
            HeadCount = first.Heads.Length,
            KeyValueHeadCount = first.KeyValueHeads.Length,
            IntermediateSize = Neurons(config, kept, layer => config.Experts?.Has(layer.Layer) is not true ? layer.Neurons : []) ?? config.IntermediateSize,
            Experts = Experts(config, kept),
            EmbeddingScale = config.EmbeddingScale is { } scale && width != config.HiddenSize ? scale * MathF.Sqrt((float)width / config.HiddenSize) : config.EmbeddingScale,
        };
        // A family of experts alone names their width as every other family its feed-forward part's.
        if (config.Experts is { } experts && experts.Width == config.IntermediateSize && Enumerable.Range(0, config.LayerCount).All(experts.Has))
            shrunk = shrunk with { IntermediateSize = shrunk.Experts!.Width };
        CheckWindows(config, kept);
        shrunk.Validate($"the {config.Family} model with {shrunk.LayerCount} layers");
        if (!Family.Of(config).StoresHeadWidth && shrunk.HeadCount * shrunk.HeadWidth != width)
            throw new CoppiceException($"a {config.Family} model's settings have no place for the width of a head: {shrunk.HeadCount} heads of {shrunk.HeadWidth} numbers have to make up a width of {width}; prune its neurons or layers");
        return shrunk;
    }

    static void CheckHeads(DecoderConfig config, KeptLayer layer, KeptLayer first)
    {
        int group = config.HeadCount / config.KeyValueHeadCount, left = layer.Heads.Length / layer.KeyValueHeads.Length;
        if (layer.Heads.Length != first.Heads.Length || layer.KeyValueHeads.Length != first.KeyValueHeads.Length
            || !layer.Heads.Select(head => head / group).SequenceEqual(layer.KeyValueHeads.SelectMany(head => Enumerable.Repeat(head, left))))
            throw new ArgumentException($"Shrinking: heads {string.Join(", ", layer.Heads)} of layer {layer.Layer} are not as many for each of its {layer.KeyValueHeads.Length} key-value heads as in other layers");
    }

    // The one number of neurons that stays in all parts of a kind; null where there is no such part.
    static int? Neurons(DecoderConfig config, KeptUnits kept, Func<KeptLayer, IEnumerable<int[]>> parts)
    {
        int[] counts = [.. kept.Layers.SelectMany(parts).Select(neurons => neurons.Length).Distinct()];
        return counts.Length <= 1 ? counts.FirstOrDefault() is > 0 and int count ? count : null : throw new ArgumentException($"Shrinking: {string.Join(", ", counts)} neurons in feed-forward parts of one kind of a {config.Family} model");
    }

    static ExpertOptions? Experts(DecoderConfig config, KeptUnits kept)
    {
        if (config.Experts is not { } experts)
            return null;
        ExpertOptions shrunk = experts with
        {
            Width = Neurons(config, kept, layer => experts.Has(layer.Layer) ? layer.Neurons.Take(experts.Count) : []) ?? experts.Width,
            SharedWidth = Neurons(config, kept, layer => experts.Has(layer.Layer) ? layer.Neurons.Skip(experts.Count) : []) ?? experts.SharedWidth,
        };
        int[] plain = [.. Enumerable.Range(0, kept.Layers.Count).Where(i => !experts.Has(kept.Layers[i].Layer))];
        return plain.SequenceEqual(Enumerable.Range(0, kept.Layers.Count).Where(i => !experts.Has(i))) ? shrunk : shrunk with { Step = 1, Plain = [.. plain] };
    }

    static void CheckWindows(DecoderConfig config, KeptUnits kept)
    {
        for (int i = 0; i < kept.Layers.Count; i++)
            if (config.IsWindowed(i) != config.IsWindowed(kept.Layers[i].Layer))
                throw new CoppiceException($"in a {config.Family} model every {config.WindowPattern} layers one sees all tokens: layer {kept.Layers[i].Layer} cannot become layer {i}; drop runs of {config.WindowPattern} layers");
    }
}

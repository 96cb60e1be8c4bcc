using System.Text.RegularExpressions;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Structured;

/// <summary>A decoder without some of its layers, heads, neurons and channels: each matrix keeps the rows and columns of what stays, and the settings say the new sizes.</summary>
/// <remarks>
/// A norm over fewer numbers divides by the mean of those. If the ones that went were small, the sum of squares is nearly what it was, so that gains are multiplied by sqrt(before / after).
/// Where embeddings are multiplied by a factor that follows from the width (Gemma), the table takes up what the factor loses.
/// </remarks>
public static partial class Shrinking
{
    /// <summary>The smaller model. Matrices that lie in a file are cut when they are asked for; numbers that can train are copied.</summary>
    /// <exception cref="CoppiceException">The family's files have no place for such a model, or a matrix is packed already.</exception>
    public static DecoderModel Apply(DecoderModel model, KeptUnits kept)
    {
        DecoderConfig before = model.Config, after = ShrunkConfig.Of(before, kept);
        Dictionary<string, Weight> matrices = model.Matrices().ToDictionary(part => part.Name, part => part.Layer.Weight);
        Dictionary<string, Tensor> vectors = model.AllVectors().ToDictionary(part => part.Name, part => part.Vector);
        foreach ((string name, Weight weight) in matrices)
            if (weight is not (DenseWeight or HalfWeight or StoredWeight or DeferredWeight))
                throw new CoppiceException($"{name} is stored as {weight.Kind} already; shrink the model that it was made from");
        float embedding = after.EmbeddingScale is { } scale ? before.EmbeddingScale!.Value / scale : 1;
        return new DecoderModel(after, Matrix, Vector);

        Weight Matrix(string name, Shape shape)
        {
            Cut cut = CutOf(name[..^".weight".Length], before, kept);
            Weight weight = Sliced(matrices[cut.Name], cut.Rows, cut.Columns);
            return embedding != 1 && name.Contains("embed_tokens", StringComparison.Ordinal) ? MatrixLayout.Changed(weight, row => { foreach (ref float value in row) value *= embedding; }) : weight;
        }

        Tensor Vector(string name, Shape shape)
        {
            string suffix = name[name.LastIndexOf('.')..];
            Cut cut = CutOf(name[..^suffix.Length], before, kept);
            Tensor vector = vectors[cut.Name + suffix];
            float gain = cut.IsNorm && suffix == ".weight" && cut.Rows is not null ? MathF.Sqrt((float)vector.Shape.Length / cut.Rows.Length) : 1;
            // A tied head reads the rescaled table.
            if (name == "model.norm.weight" && after.Head == HeadKind.Tied)
                gain /= embedding;
            float[] values = cut.Rows is null ? vector.Data.ToArray() : [.. cut.Rows.Select(row => vector.Data[row])];
            return Tensor.From(shape, gain == 1 ? values : [.. values.Select(value => value * gain)]);
        }
    }

    /// <summary>Which rows and columns of a tensor, by its full name, the smaller model has; null is all of them. A vector's numbers are rows.</summary>
    internal static (int[]? Rows, int[]? Columns) PlacesOf(string tensor, DecoderConfig config, KeptUnits kept)
    {
        Cut cut = CutOf(tensor[..tensor.LastIndexOf('.')], config, kept);
        return (cut.Rows, cut.Columns);
    }

    // Null rows or columns are all of them.
    readonly record struct Cut(string Name, int[]? Rows, int[]? Columns, bool IsNorm = false);

    static Weight Sliced(Weight weight, int[]? rows, int[]? columns)
    {
        if (rows is null && columns is null)
            return weight is DenseWeight dense ? new DenseWeight(Tensor.From(dense.Shape, dense.Values.Data)) : weight;
        Weight taken = rows is null ? weight : weight.Reorder(rows);
        return columns is null ? taken : MatrixLayout.TakeColumns(taken, columns);
    }

    // What a tensor of the new model is made of.
    static Cut CutOf(string name, DecoderConfig config, KeptUnits kept)
    {
        int[]? channels = Fewer(kept.Channels, config.HiddenSize);
        Match match = InLayer().Match(name);
        if (!match.Success)
            return new Cut(name, name == "model.norm" ? channels : null, channels, name == "model.norm");
        KeptLayer layer = kept.Layers[int.Parse(match.Groups["layer"].ValueSpan)];
        string part = match.Groups["part"].Value, old = $"model.layers.{layer.Layer}.{part}";
        int[]? queries = Numbers(layer.Heads, config.HeadCount), keys = Numbers(layer.KeyValueHeads, config.KeyValueHeadCount);
        bool isRowNorm = config.QueryKeyNorm == QueryKeyNorm.Row;
        switch (part)
        {
            case "self_attn.q_proj":
                return new Cut(old, queries, channels);
            case "self_attn.k_proj" or "self_attn.v_proj":
                return new Cut(old, keys, channels);
            case "self_attn.o_proj":
                return new Cut(old, channels, queries);
            case "self_attn.q_norm":
                return new Cut(old, isRowNorm ? queries : null, null, IsNorm: true);
            case "self_attn.k_norm":
                return new Cut(old, isRowNorm ? keys : null, null, IsNorm: true);
            case "mlp.gate" or "mlp.shared_expert_gate":
                return new Cut(old, null, channels);
        }
        if (part.EndsWith("norm", StringComparison.Ordinal))
            return new Cut(old, channels, null, IsNorm: true);
        int place = match.Groups["expert"].Success ? int.Parse(match.Groups["expert"].ValueSpan) : layer.Neurons.Count - 1;
        ExpertOptions? experts = config.Experts is { } some && some.Has(layer.Layer) ? some : null;
        int width = match.Groups["expert"].Success ? experts!.Width : experts?.SharedWidth ?? config.IntermediateSize;
        int[]? neurons = Fewer(layer.Neurons[place], width);
        return part.EndsWith("down_proj", StringComparison.Ordinal) ? new Cut(old, channels, neurons) : new Cut(old, neurons, channels);

        int[]? Numbers(int[] heads, int all) =>
            Fewer(heads, all) is null ? null : [.. heads.SelectMany(head => Enumerable.Range(head * config.HeadWidth, config.HeadWidth))];
    }

    static int[]? Fewer(int[] kept, int all) => kept.Length == all ? null : kept;

    [GeneratedRegex(@"^model\.layers\.(?<layer>\d+)\.(?<part>(?:mlp\.experts\.(?<expert>\d+)\.)?.+)$")]
    private static partial Regex InLayer();
}

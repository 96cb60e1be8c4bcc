using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Federation.Widths;

/// <summary>
/// A narrower model within a model: whole groups of heads, each with its own width, and neurons, a share of each layer's, with the rows and columns of theirs. The residual stream stays as wide as it is: a norm over some of its
/// channels divides by another mean square than over all, so that the same numbers would compute something else in each width.
/// </summary>
public sealed class SubModel
{
    readonly DecoderConfig whole;
    readonly KeptUnits kept;
    readonly Dictionary<string, (int[]? Rows, int[]? Columns)> places = new(StringComparer.Ordinal);

    internal SubModel(double width, DecoderConfig whole, KeptUnits kept) => (Width, this.whole, this.kept, Config) = (width, whole, kept, ShrunkConfig.Of(whole, kept));

    /// <summary>The share of heads and neurons that it has, above 0 and at most 1.</summary>
    public double Width { get; }

    /// <summary>Its sizes.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The part of a width: of n units the first ceil(width n). Families whose files have no place for a head's width keep all heads.</summary>
    internal static SubModel Of(DecoderModel model, double width)
    {
        DecoderConfig config = model.Config;
        int group = config.HeadCount / config.KeyValueHeadCount;
        KeptUnits all = KeptUnits.All(model);
        return new SubModel(width, config, all with { Layers = [.. all.Layers.Select(Narrowed)] });

        KeptLayer Narrowed(KeptLayer layer)
        {
            int[] groups = Family.Of(config).StoresHeadWidth ? First(layer.KeyValueHeads) : layer.KeyValueHeads;
            return layer with { KeyValueHeads = groups, Heads = layer.Heads[..(groups.Length * group)], Neurons = [.. layer.Neurons.Select(First)] };
        }

        int[] First(int[] units) => units[..Math.Max(1, (int)Math.Ceiling(width * units.Length - 1e-9))];
    }

    /// <summary>Its numbers, of the whole model's, under the same names; tensors of which it has all are not copied.</summary>
    public ParameterSet Take(ParameterSet numbers) => numbers.Map((name, tensor) =>
    {
        (int[]? rows, int[]? columns) = PlacesOf(name);
        if (rows is null && columns is null)
            return tensor;
        int width = tensor.Shape.Rank == 1 ? 1 : tensor.Shape[1], height = tensor.Shape[0];
        Tensor taken = new(tensor.Shape.Rank == 1 ? [rows!.Length] : [rows?.Length ?? height, columns?.Length ?? width]);
        int to = 0;
        for (int row = 0; row < (rows?.Length ?? height); row++)
        {
            ReadOnlySpan<float> from = tensor.Data.Slice((rows?[row] ?? row) * width, width);
            for (int column = 0; column < (columns?.Length ?? width); column++)
                taken.Data[to++] = from[columns?[column] ?? column];
        }
        return taken;
    });

    /// <summary>An ordinary model of its sizes with a copy of its numbers.</summary>
    public DecoderModel Build(DecoderModel model)
    {
        ParameterSet own = Take(ParameterSet.Copy(model));
        return new DecoderModel(Config, (name, _) => new DenseWeight(own.Tensors[name]), (name, _) => own.Tensors[name]);
    }

    /// <summary>Adds a tensor of its own, times a factor, to sums over the whole model's tensor, and the factor to the weights of the numbers that it has.</summary>
    internal void Add(string name, Shape shape, double factor, ReadOnlySpan<float> values, Span<double> sums, Span<double> weights)
    {
        (int[]? rows, int[]? columns) = PlacesOf(name);
        int width = shape.Rank == 1 ? 1 : shape[1], from = 0;
        for (int row = 0; row < (rows?.Length ?? shape[0]); row++)
            for (int column = 0; column < (columns?.Length ?? width); column++)
            {
                int to = (rows?[row] ?? row) * width + (columns?[column] ?? column);
                sums[to] += factor * values[from++];
                weights[to] += factor;
            }
    }

    (int[]? Rows, int[]? Columns) PlacesOf(string name)
    {
        if (!places.TryGetValue(name, out (int[]?, int[]?) found))
            places.Add(name, found = Shrinking.PlacesOf(name, whole, kept));
        return found;
    }
}

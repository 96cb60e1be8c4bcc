using System.Numerics.Tensors;
using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Quantize;

/// <summary>Inputs whose channels can be made larger or smaller at no cost: what gives them is divided by what the matrices that read them are multiplied with, so that the model computes what it did.</summary>
sealed class ScalableInputs
{
    readonly int[] channels;
    readonly Action<float[]> divide;

    ScalableInputs(IReadOnlyList<Linear> readers, int[] channels, Action<float[]> divide) => (Readers, this.channels, this.divide) = (readers, channels, divide);

    /// <summary>The matrices that read them, and nothing else does.</summary>
    public IReadOnlyList<Linear> Readers { get; }

    /// <summary>How many factors there are. Inputs of heads that share a value head have one together.</summary>
    public int Channels => channels.Max() + 1;

    /// <summary>A block's: what a norm gives, what values give to the output, and what a gated feed-forward part's up gives to its down. What a mixture's router reads too, and what goes through a function that is not linear, is left out.</summary>
    public static IEnumerable<ScalableInputs> Of(TransformerBlock block)
    {
        Attention attention = block.Attention;
        IReadOnlyList<Linear> reads = [attention.Query, attention.Key, attention.Value];
        IReadOnlyList<Linear>? mixes = (block.FeedForward as FeedForward)?.ReadTogether;
        Normalization? first = block.Norms.BeforeAttention, second = block.Norms.BeforeFeedForward;
        if (first is not null && ReferenceEquals(first, second))
        {
            if (mixes is not null)
                yield return Behind(first, [.. reads, .. mixes]);
        }
        else
        {
            if (first is not null)
                yield return Behind(first, reads);
            if (second is not null && mixes is not null)
                yield return Behind(second, mixes);
        }
        int width = attention.HeadWidth, share = attention.Heads / attention.KeyValueHeads;
        yield return new ScalableInputs([attention.Output], [.. Enumerable.Range(0, attention.Heads * width).Select(j => j / width / share * width + j % width)], factors => DivideRows(attention.Value, factors));
        foreach (FeedForward part in KeptUnits.Parts(block.FeedForward).Where(part => part.Gate is not null))
            yield return new ScalableInputs([part.Down], [.. Enumerable.Range(0, part.Down.Weight.Columns)], factors => DivideRows(part.Up, factors));
    }

    static ScalableInputs Behind(Normalization norm, IReadOnlyList<Linear> readers) => new(readers, [.. Enumerable.Range(0, readers[0].Weight.Columns)], factors =>
    {
        foreach ((_, Tensor vector) in norm.Vectors)
            TensorPrimitives.Divide(vector.Data, factors, vector.Data);
    });

    /// <summary>Of numbers of each input, those of each channel, put together by <paramref name="join"/>.</summary>
    public double[] PerChannel(Func<int, double> inputs, Func<IEnumerable<double>, double> join) =>
        [.. Enumerable.Range(0, channels.Length).GroupBy(j => channels[j]).OrderBy(group => group.Key).Select(group => join(group.Select(inputs)))];

    /// <summary>A factor for each input of a factor for each channel.</summary>
    public float[] PerInput(double[] factors) => [.. channels.Select(channel => (float)factors[channel])];

    /// <summary>Multiplies the readers' columns by <paramref name="factors"/> [channels], and divides what they read.</summary>
    public void Apply(double[] factors)
    {
        float[] inputs = PerInput(factors);
        foreach (Linear reader in Readers)
        {
            float[] weights = reader.Weight.ToDense();
            for (int start = 0; start < weights.Length; start += inputs.Length)
                TensorPrimitives.Multiply(weights.AsSpan(start, inputs.Length), inputs, weights.AsSpan(start, inputs.Length));
            reader.Weight = new DenseWeight(Tensor.From(reader.Weight.Shape, weights));
        }
        divide([.. factors.Select(factor => (float)factor)]);
    }

    static void DivideRows(Linear giver, float[] factors)
    {
        float[] weights = giver.Weight.ToDense();
        int columns = giver.Weight.Columns;
        for (int row = 0; row < factors.Length; row++)
            TensorPrimitives.Divide(weights.AsSpan(row * columns, columns), factors[row], weights.AsSpan(row * columns, columns));
        giver.Weight = new DenseWeight(Tensor.From(giver.Weight.Shape, weights));
        if (giver.Bias is { } bias)
            TensorPrimitives.Divide(bias.Data, factors, bias.Data);
    }
}

using System.Globalization;
using Coppice.Models;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Moves what is large in activations into weights: by s = max(abs(x))^alpha / max(abs(w))^(1 - alpha) for each channel (Xiao et al. 2022). For runtimes that round activations too.</summary>
public sealed record SmoothQuant : ScalingStep
{
    /// <inheritdoc/>
    public override string Key => "smoothQuant";

    /// <summary>How much of the difficulty goes to the weights, above 0 and below 1.</summary>
    public double Alpha { get; init; } = 0.5;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("alpha", Alpha.ToString("R", CultureInfo.InvariantCulture))];

    private protected override Statistics Needs => Statistics.None;

    private protected override (double[]? Factors, string Note) Choose(ScalableInputs inputs, SeenInputs seen, ModelWork work)
    {
        double[] weights = new double[inputs.Readers[0].Weight.Columns];
        foreach (Linear reader in inputs.Readers)
            AddLargest(reader.Weight, weights);
        double[] factors = Factors(inputs.PerChannel(seen.Largest, all => all.Max()), inputs.PerChannel(j => weights[j], all => all.Max()), Alpha);
        return (factors, string.Create(CultureInfo.InvariantCulture, $"channels scaled by {factors.Min():0.###} to {factors.Max():0.###}"));
    }

    /// <summary>activation^alpha / weight^(1 - alpha); 1 where either is 0.</summary>
    public static double[] Factors(double[] activations, double[] weights, double alpha) =>
        [.. activations.Zip(weights, (x, w) => x == 0 || w == 0 ? 1 : Math.Pow(x, alpha) / Math.Pow(w, 1 - alpha))];

    static void AddLargest(Weight weight, double[] largest)
    {
        float[] row = new float[weight.Columns];
        for (int i = 0; i < weight.Rows; i++)
        {
            weight.Unpack(i, row);
            for (int j = 0; j < row.Length; j++)
                largest[j] = Math.Max(largest[j], Math.Abs(row[j]));
        }
    }
}

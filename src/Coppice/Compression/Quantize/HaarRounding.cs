using System.Globalization;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Rounds a row's Haar coefficients in place of its weights: an error of one coefficient is spread over its run, and of a run whose neighbours are alike most coefficients are small.</summary>
public sealed record HaarRounding : QuantizeStep
{
    /// <summary>Groups as long as runs are.</summary>
    public HaarRounding() => GroupSize = 32;

    /// <inheritdoc/>
    public override string Key => "haar";

    /// <summary>Inputs that are transformed together: a power of two that divides the matrix's inputs.</summary>
    public int Length { get; init; } = 32;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("length", Length.ToString(CultureInfo.InvariantCulture)), .. base.Options];

    /// <inheritdoc/>
    public override string? Refuses(int rows, int columns) => columns % Length == 0 ? base.Refuses(rows, columns) : $"length {Length} does not divide its {columns} inputs";

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        if (work.Mask is not null)
            throw new CoppiceException($"{work.Name}: {Key}: what was pruned would not stay 0 in wavelets; use roundToNearest or gptq after pruning");
        float[] coefficients = [.. work.Dense];
        Haar.Forward(coefficients, Length, new float[Length]);
        work.Grid = NewGrid(work);
        // What is known of inputs is not known of coefficients.
        RoundToNearest.Round(work.Pool, coefficients, RangeOf(importance: []), work.Grid);
        work.Wavelet = Length;
    }
}

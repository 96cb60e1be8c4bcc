using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Coppice.Weights.Blocks;

/// <summary>Rounds a block to w = d share s l: one half d, a small odd number s for each group, and levels l that are points of a codebook, by the sum of squared errors, each weighed.</summary>
static class CodebookSearch
{
    // Scales that are tried for a group, as parts of the one that takes its largest number to the largest level.
    static ReadOnlySpan<float> Stretches => [0.6f, 0.7f, 0.78f, 0.85f, 0.91f, 0.96f, 1, 1.05f, 1.12f, 1.2f];

    /// <summary>Finds all three. d is infinite where the numbers are too large for it.</summary>
    [SkipLocalsInit]
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts)
    {
        Span<float> weights = stackalloc float[values.Length];
        if (importance.IsEmpty)
            weights.Fill(1);
        else
            importance.CopyTo(weights);
        int size = shape.GroupSize, groups = values.Length / size;
        float most = shape.UnitShare * shape.Scales.Most;
        parts.Scales.Fill((sbyte)shape.Scales.Least);
        Codebook book = shape.Codebook!;
        for (int i = 0; i < values.Length; i += book.Length)
            book.Put(0, 0, parts.Codes[i..]);
        Half plain = (Half)(Math.Abs(TensorPrimitives.MaxMagnitude(values)) / shape.Levels[^1] / most);
        parts.Units[0] = Half.IsFinite(plain) ? default : Half.PositiveInfinity;
        if (!Half.IsFinite(plain))
            return;
        Span<float> wanted = stackalloc float[groups];
        Span<byte> codes = stackalloc byte[values.Length];
        for (int group = 0; group < groups; group++)
            wanted[group] = ScaleOf(values.Slice(group * size, size), weights.Slice(group * size, size), shape, codes);
        Span<sbyte> scales = stackalloc sbyte[groups];
        double least = double.PositiveInfinity;
        Half d = Half.Min((Half)(TensorPrimitives.Max<float>(wanted) / most), Half.MaxValue);
        for (int attempt = 0; attempt < 3 && d > default(Half); attempt++)
        {
            double error = Fit(values, weights, shape, wanted, (float)d * shape.UnitShare, scales, codes, out double refit);
            if (!(error < least))
                break;
            (least, parts.Units[0]) = (error, d);
            scales.CopyTo(parts.Scales);
            codes.CopyTo(parts.Codes);
            d = Half.Min((Half)(refit / shape.UnitShare), Half.MaxValue);
        }
    }

    // The scale of a group that is nearest its numbers with the levels that one of those tried gives.
    static float ScaleOf(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, BlockShape shape, Span<byte> codes)
    {
        float extreme = Math.Abs(TensorPrimitives.MaxMagnitude(values)), scale = 0;
        double most = 0;
        if (extreme == 0)
            return 0;
        foreach (float stretch in Stretches)
            Try(extreme / shape.Levels[^1] * stretch, values, weights, shape, codes, ref scale, ref most);
        Try(scale, values, weights, shape, codes, ref scale, ref most);
        return scale == 0 ? extreme / shape.Levels[^1] : scale;
    }

    // The best scale for the levels that a scale gives is sum x l / sum l^2, and takes (sum x l)^2 / sum l^2 from the numbers' squares.
    static void Try(float tried, ReadOnlySpan<float> values, ReadOnlySpan<float> weights, BlockShape shape, Span<byte> codes, ref float scale, ref double most)
    {
        Round(values, weights, shape, tried, codes);
        (double products, double squares) = Sums(values, weights, shape, codes);
        if (!(squares > 0) || !(products * products / squares > most))
            return;
        (scale, most) = ((float)(products / squares), products * products / squares);
    }

    static void Round(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, BlockShape shape, float scale, Span<byte> codes)
    {
        Span<float> numbers = stackalloc float[Codebook.Run];
        float inverse = 1 / scale;
        for (int i = 0; i < values.Length; i += Codebook.Run)
        {
            TensorPrimitives.Multiply(values.Slice(i, Codebook.Run), float.IsFinite(inverse) ? inverse : 0, numbers);
            CodebookRounding.Nearest(shape.Codebook!, numbers, weights.Slice(i, Codebook.Run), codes[i..]);
        }
    }

    static (double Products, double Squares) Sums(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, BlockShape shape, ReadOnlySpan<byte> codes)
    {
        ReadOnlySpan<sbyte> levels = shape.Levels.AsSpan();
        double products = 0, squares = 0;
        for (int i = 0; i < values.Length; i++)
        {
            double level = levels[codes[i]];
            products += weights[i] * values[i] * level;
            squares += weights[i] * level * level;
        }
        return (products, squares);
    }

    // For each group the best of the three s around wanted / d. Returns the sum of squared errors, and the d that is nearest with s and levels as found.
    static double Fit(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, BlockShape shape, ReadOnlySpan<float> wanted, float unit, Span<sbyte> scales, Span<byte> codes, out double refit)
    {
        int size = shape.GroupSize, step = shape.ScaleStep;
        (int least, int most) = shape.Scales;
        double total = 0, allProducts = 0, allSquares = 0;
        Span<byte> tried = stackalloc byte[size];
        for (int group = 0; group < wanted.Length; group++)
        {
            ReadOnlySpan<float> own = values.Slice(group * size, size), ownWeights = weights.Slice(group * size, size);
            int middle = least + step * (int)Math.Round((Math.Clamp(wanted[group] / unit, least, most) - least) / step);
            double best = double.PositiveInfinity, bestProducts = 0, bestSquares = 0;
            for (int s = Math.Max(least, middle - step); s <= Math.Min(most, middle + step); s += step)
            {
                Round(own, ownWeights, shape, unit * s, tried);
                (double products, double squares) = Sums(own, ownWeights, shape, tried);
                // Less the numbers' own squares, which all have.
                double scale = (double)unit * s, error = scale * (scale * squares - 2 * products);
                if (!(error < best))
                    continue;
                (best, bestProducts, bestSquares) = (error, s * products, (double)s * s * squares);
                scales[group] = (sbyte)s;
                tried.CopyTo(codes[(group * size)..]);
            }
            (total, allProducts, allSquares) = (total + best, allProducts + bestProducts, allSquares + bestSquares);
        }
        refit = allSquares > 0 ? allProducts / allSquares : unit;
        return total;
    }
}

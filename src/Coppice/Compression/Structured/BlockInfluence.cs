using System.Numerics.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>How much a block changes what passes through it (Men et al. 2024).</summary>
public static class BlockInfluence
{
    /// <summary>The sum over tokens of 1 - cos(before, after), for states [tokens, width]; a token whose states are zero changes nothing.</summary>
    public static double Sum(ReadOnlySpan<float> before, ReadOnlySpan<float> after, int width)
    {
        double sum = 0;
        for (int start = 0; start < before.Length; start += width)
        {
            ReadOnlySpan<float> x = before.Slice(start, width), y = after.Slice(start, width);
            double size = Math.Sqrt((double)TensorPrimitives.SumOfSquares(x) * TensorPrimitives.SumOfSquares(y));
            if (size > 0)
                sum += 1 - TensorPrimitives.Dot(x, y) / size;
        }
        return sum;
    }
}

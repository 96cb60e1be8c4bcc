using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>How much the squared error of each number counts in a search.</summary>
interface IErrorWeights
{
    /// <summary>Numbers times their weights, of which they are the <paramref name="i"/>-th eight.</summary>
    static abstract Vector256<float> Weigh(Vector256<float> numbers, ReadOnlySpan<Vector256<float>> weights, int i);
}

/// <summary>All alike.</summary>
readonly struct EvenWeights : IErrorWeights
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Weigh(Vector256<float> numbers, ReadOnlySpan<Vector256<float>> weights, int i) => numbers;
}

/// <summary>As given, such as the mean square of the input that a weight is multiplied by.</summary>
readonly struct GivenWeights : IErrorWeights
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Weigh(Vector256<float> numbers, ReadOnlySpan<Vector256<float>> weights, int i) => numbers * weights[i];
}

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Formats;

/// <summary>What storing a matrix did to its numbers.</summary>
/// <param name="SquaredNorm">||W||^2, before.</param>
/// <param name="SquaredError">||W - Q||^2.</param>
/// <param name="Zeros">Stored numbers that are 0.</param>
public readonly record struct StoredNumbers(double SquaredNorm, double SquaredError, long Zeros)
{
    /// <summary>Of some numbers and what is stored for them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static StoredNumbers Of(ReadOnlySpan<float> before, ReadOnlySpan<float> stored)
    {
        if (stored.Length != before.Length)
            throw new ArgumentException($"StoredNumbers: {before.Length} numbers before, {stored.Length} stored");
        ref float wanted = ref MemoryMarshal.GetReference(before), made = ref MemoryMarshal.GetReference(stored);
        Vector<float> norm = default, error = default;
        Vector<int> zeros = default;
        int i = 0;
        for (; i <= before.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> w = Vector.LoadUnsafe(ref wanted, (nuint)i), q = Vector.LoadUnsafe(ref made, (nuint)i), difference = w - q;
            norm = Vector.FusedMultiplyAdd(w, w, norm);
            error = Vector.FusedMultiplyAdd(difference, difference, error);
            zeros -= Vector.Equals(q, Vector<float>.Zero);
        }
        double squaredNorm = Vector.Sum(norm), squaredError = Vector.Sum(error);
        long count = Vector.Sum(zeros);
        for (; i < before.Length; i++)
        {
            squaredNorm += before[i] * before[i];
            squaredError += (before[i] - stored[i]) * (before[i] - stored[i]);
            count += stored[i] == 0 ? 1 : 0;
        }
        return new StoredNumbers(squaredNorm, squaredError, count);
    }

    /// <summary>Of two parts together.</summary>
    public static StoredNumbers operator +(StoredNumbers a, StoredNumbers b) => new(a.SquaredNorm + b.SquaredNorm, a.SquaredError + b.SquaredError, a.Zeros + b.Zeros);
}

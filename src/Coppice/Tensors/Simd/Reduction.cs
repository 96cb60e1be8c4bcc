using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>What each element adds to a sum. It holds pointers that its maker has checked.</summary>
internal interface ISummand
{
    /// <summary>The sum with elements from <paramref name="i"/> on added, lane by lane.</summary>
    TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct;
}

/// <summary>
/// Sums in one order at every width: 64 partial sums, of the elements that are equal modulo 64, are added in halves (32 + 32, 16 + 16, ...).
/// A width below 16 lanes takes the lanes of a 16 in turns.
/// </summary>
internal static unsafe class Reduction
{
    const int Partials = 64, Group = 16;

    /// <summary>The sum over elements 0 to count - 1.</summary>
    public static float Sum<TSummand>(TSummand summand, int count) where TSummand : struct, ISummand => SimdLevel.Active switch
    {
        SimdLevel.Vector512 => Sum<TSummand, Lanes512, Vector512<float>>(summand, count),
        SimdLevel.Vector256 => Sum<TSummand, Lanes256, Vector256<float>>(summand, count),
        SimdLevel.Vector128 => Sum<TSummand, Lanes128, Vector128<float>>(summand, count),
        _ => Sum<TSummand, Lanes1, float>(summand, count),
    };

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Sum<TSummand, TL, TV>(TSummand summand, int count)
        where TSummand : struct, ISummand where TL : struct, ILanes<TV> where TV : struct
    {
        float* partial = stackalloc float[Partials];
        int whole = count - count % Partials;
        for (int lane = 0; lane < Group; lane += TL.Count)
        {
            TV a = default, b = default, c = default, d = default;
            for (int i = lane; i < whole; i += Partials)
            {
                a = summand.Add<TL, TV>(i, a);
                b = summand.Add<TL, TV>(i + Group, b);
                c = summand.Add<TL, TV>(i + 2 * Group, c);
                d = summand.Add<TL, TV>(i + 3 * Group, d);
            }
            TL.Store(a, partial + lane);
            TL.Store(b, partial + lane + Group);
            TL.Store(c, partial + lane + 2 * Group);
            TL.Store(d, partial + lane + 3 * Group);
        }
        for (int i = whole; i < count; i++)
            partial[i - whole] = summand.Add<Lanes1, float>(i, partial[i - whole]);

        for (int half = Partials / 2; half >= 1; half /= 2)
        {
            int i = 0;
            for (; i <= half - TL.Count; i += TL.Count)
                TL.Store(TL.Add(TL.Load(partial + i), TL.Load(partial + i + half)), partial + i);
            for (; i < half; i++)
                partial[i] += partial[i + half];
        }
        return partial[0];
    }
}

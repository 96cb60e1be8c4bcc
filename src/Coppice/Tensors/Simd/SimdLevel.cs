using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>The vector width that the kernels run at. Every level gives the same bits; only the speed differs.</summary>
public enum SimdLevel
{
    /// <summary>One float at a time: the twin that every other level is compared with.</summary>
    Scalar,

    /// <summary>128 bits: 4 floats.</summary>
    Vector128,

    /// <summary>256 bits: 8 floats.</summary>
    Vector256,

    /// <summary>512 bits: 16 floats.</summary>
    Vector512,
}

/// <summary>The level in use, those this processor has, and how to choose another.</summary>
public static class SimdLevels
{
    static volatile SimdLevel active = Widest;

    [ThreadStatic] static SimdLevel? own;

    extension(SimdLevel level)
    {
        /// <summary>The level that kernels use: the widest of this processor, unless <see cref="Select"/> chose another.</summary>
        public static SimdLevel Active => own ?? active;

        /// <summary>True where this processor runs the level in hardware.</summary>
        public bool IsSupported => level <= Widest;

        /// <summary>What <paramref name="compute"/> gives at a level of its own, on the calling thread and no other.</summary>
        internal static T On<T>(SimdLevel chosen, Func<T> compute)
        {
            SimdLevel? before = own;
            own = chosen;
            try
            {
                return compute();
            }
            finally
            {
                own = before;
            }
        }

        /// <summary>Chooses the level for the whole process, for measurements and for tests of every path.</summary>
        /// <returns>What <c>Dispose</c> turns back to the level before.</returns>
        /// <exception cref="NotSupportedException">This processor does not have the level.</exception>
        public static IDisposable Select(SimdLevel chosen)
        {
            if (!chosen.IsSupported)
                throw new NotSupportedException($"SIMD level {chosen} was asked for, this processor has {Widest} at most");
            var before = new Selection(active);
            active = chosen;
            return before;
        }
    }

    // Without hardware FMA a vector would fall back to calls, slower than the scalar twin.
    static SimdLevel Widest =>
        Vector128.IsHardwareAccelerated && (Fma.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported)
            ? Vector512.IsHardwareAccelerated ? SimdLevel.Vector512
            : Vector256.IsHardwareAccelerated ? SimdLevel.Vector256
            : SimdLevel.Vector128
            : SimdLevel.Scalar;

    sealed class Selection(SimdLevel level) : IDisposable
    {
        public void Dispose() => active = level;
    }
}

using System.Runtime.Intrinsics;

namespace Coppice.Federation.Codecs;

/// <summary>A hash of 64 bits (SplitMix64, Steele et al. 2014), so that a message's seed means the same to every reader.</summary>
static class SplitMix
{
    // The second is the bits of the double 1.
    const ulong Step = 0x9E3779B97F4A7C15, One = 0x3FF0000000000000;

    /// <summary>Output number <paramref name="index"/> of the generator with a seed.</summary>
    public static ulong At(ulong seed, ulong index)
    {
        ulong z = unchecked(seed + (index + 1) * Step);
        z = unchecked((z ^ z >> 30) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ z >> 27) * 0x94D049BB133111EB);
        return z ^ z >> 31;
    }

    /// <summary>Output number <paramref name="index"/> as a number of [0, 1), of its upper 52 bits.</summary>
    public static double Unit(ulong seed, ulong index) => BitConverter.UInt64BitsToDouble(At(seed, index) >> 12 | One) - 1;

    /// <summary>Those of eight outputs from <paramref name="index"/> on.</summary>
    public static Vector512<double> Units(ulong seed, ulong index)
    {
        Vector512<ulong> z = Vector512.Create(seed) + (Vector512.Create(index + 1) + Vector512<ulong>.Indices) * Step;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >>> 27) * 0x94D049BB133111EB;
        z ^= z >>> 31;
        return (z >>> 12 | Vector512.Create(One)).AsDouble() - Vector512<double>.One;
    }

    /// <summary>From a hash's upper 32 bits a whole number below <paramref name="limit"/>.</summary>
    public static int Below(ulong hash, int limit) => (int)((hash >> 32) * (ulong)limit >> 32);
}

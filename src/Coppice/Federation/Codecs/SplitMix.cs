namespace Coppice.Federation.Codecs;

/// <summary>A hash of 64 bits (SplitMix64, Steele et al. 2014), so that a message's seed means the same to every reader.</summary>
static class SplitMix
{
    const ulong Step = 0x9E3779B97F4A7C15;

    /// <summary>Output number <paramref name="index"/> of the generator with a seed.</summary>
    public static ulong At(ulong seed, ulong index)
    {
        ulong z = unchecked(seed + (index + 1) * Step);
        z = unchecked((z ^ z >> 30) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ z >> 27) * 0x94D049BB133111EB);
        return z ^ z >> 31;
    }

    /// <summary>From a hash's upper 32 bits a whole number below <paramref name="limit"/>.</summary>
    public static int Below(ulong hash, int limit) => (int)((hash >> 32) * (ulong)limit >> 32);
}

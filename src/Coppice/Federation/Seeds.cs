using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Federation;

/// <summary>Seeds of a run's parts, independent of one another and of the order in which they are asked for.</summary>
static class Seeds
{
    /// <summary>The first four bytes, little-endian, of SHA-256 over <c>seed|purpose|round|client</c>.</summary>
    public static int Derive(int seed, string purpose, int round, string client = "") =>
        BinaryPrimitives.ReadInt32LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(FormattableString.Invariant($"{seed}|{purpose}|{round}|{client}"))));

    /// <summary>A generator seeded so.</summary>
    public static Random Generator(int seed, string purpose, int round, string client = "") => new(Derive(seed, purpose, round, client));
}

using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>Bits of 32 neighbouring codes, which k-quants store at the same places of 32 neighbouring bytes.</summary>
static class CodeBits
{
    /// <summary>How many codes there are.</summary>
    public const int Run = 32;

    /// <summary>Adds the codes' bits from <paramref name="first"/> on, <paramref name="count"/> of them, to the bytes, from bit <paramref name="at"/> on.</summary>
    public static void Put(ReadOnlySpan<byte> codes, int first, int count, Span<byte> bytes, int at)
    {
        Vector256<byte> bits = Vector256.Create(codes[..Run]) >> first & Vector256.Create((byte)((1 << count) - 1));
        (Vector256.Create((ReadOnlySpan<byte>)bytes[..Run]) | bits << at).CopyTo(bytes);
    }

    /// <summary>The bytes' bits from <paramref name="at"/> on, <paramref name="count"/> of them: the codes where those start at bit 0.</summary>
    public static Vector256<byte> Take(ReadOnlySpan<byte> bytes, int at, int count) => Vector256.Create(bytes[..Run]) >> at & Vector256.Create((byte)((1 << count) - 1));
}

using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Coppice.Federation.Secure;

/// <summary>Which way a mask goes.</summary>
enum MaskSign
{
    /// <summary>Added.</summary>
    Plus,

    /// <summary>Taken off.</summary>
    Minus,
}

/// <summary>Masks as long as a vector, from keys of 32 bytes: number i is the stream's bytes 4 i to 4 i + 3, little-endian. Sums are modulo 2^32, and so modulo every smaller power of two as well.</summary>
static class Masks
{
    /// <summary>Length of a key.</summary>
    public const int KeyBytes = 32;

    /// <summary>Puts the mask of a key on a vector, or takes it off.</summary>
    public static void Apply(byte[] key, MaskSign sign, Span<uint> vector)
    {
        using AesCtr stream = new(key, expectedBytes: 4L * vector.Length);
        while (vector.Length > 0)
        {
            ReadOnlySpan<uint> mask = MemoryMarshal.Cast<byte, uint>(stream.Next((int)Math.Min(4L * vector.Length, 1 << 16)));
            Span<uint> part = vector[..mask.Length];
            if (sign == MaskSign.Plus)
                TensorPrimitives.Add(part, mask, part);
            else
                TensorPrimitives.Subtract(part, mask, part);
            vector = vector[mask.Length..];
        }
    }

    /// <summary>The sign that client <paramref name="own"/> gives the mask that it shares with <paramref name="other"/>: one of the two adds what the other takes off.</summary>
    public static MaskSign Between(int own, int other) => own < other ? MaskSign.Plus : MaskSign.Minus;

    /// <summary>The other way.</summary>
    public static MaskSign Opposite(MaskSign sign) => sign == MaskSign.Plus ? MaskSign.Minus : MaskSign.Plus;
}

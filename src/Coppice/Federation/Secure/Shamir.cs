using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Coppice.Federation.Secure;

/// <summary>
/// Shares of 32 secret bytes, any t of which give them back and fewer of which say nothing (Shamir 1979): points of a random polynomial of degree t - 1 whose value at 0 is the secret.
/// The field is that of 2^61 - 1, and a secret is five numbers of it, of 7, 7, 7, 7 and 4 bytes (little-endian), each with a polynomial of its own: a share is then 40 bytes where one number modulo 2^521 - 1 would
/// take 66, a product is two machine words that fold by a shift, and no step takes longer for one secret than for another.
/// </summary>
static class Shamir
{
    /// <summary>Length of a secret.</summary>
    public const int SecretBytes = 32;

    /// <summary>Length of a share: five numbers of 8 bytes, little-endian.</summary>
    public const int ShareBytes = Chunks * sizeof(ulong);

    /// <summary>The field's size, a Mersenne prime.</summary>
    public const ulong Prime = (1UL << 61) - 1;

    const int Chunks = 5, ChunkBytes = 7;

    /// <summary>A share for each of some points, which are above 0 and different from one another; <paramref name="threshold"/> of them are needed.</summary>
    public static byte[][] Split(ReadOnlySpan<byte> secret, int threshold, ReadOnlySpan<int> points, RandomNumberGenerator random)
    {
        if (secret.Length != SecretBytes || threshold < 1 || threshold > points.Length)
            throw new ArgumentException($"Shamir: {secret.Length} bytes, {threshold} of {points.Length} shares; wanted {SecretBytes} bytes and a threshold of 1 to the number of shares");
        byte[][] shares = new byte[points.Length][];
        for (int i = 0; i < shares.Length; i++)
            shares[i] = new byte[ShareBytes];
        ulong[] coefficients = new ulong[threshold];
        for (int chunk = 0; chunk < Chunks; chunk++)
        {
            coefficients[0] = ChunkOf(secret, chunk);
            for (int i = 1; i < threshold; i++)
                coefficients[i] = Element(random);
            for (int i = 0; i < points.Length; i++)
                BinaryPrimitives.WriteUInt64LittleEndian(shares[i].AsSpan(chunk * sizeof(ulong)), Evaluate(coefficients, (ulong)points[i]));
        }
        Array.Clear(coefficients);
        return shares;
    }

    /// <summary>The secret of as many shares as the threshold was, and the points that they are at, all different. Null where they are not of one secret and that shows: what comes out has numbers that no secret has. It does not always; who needs to know compares with a hash.</summary>
    public static byte[]? Combine(ReadOnlySpan<int> points, IReadOnlyList<byte[]> shares)
    {
        ulong[] weights = WeightsAtZero(points);
        byte[] secret = new byte[SecretBytes];
        for (int chunk = 0; chunk < Chunks; chunk++)
        {
            ulong sum = 0;
            for (int i = 0; i < weights.Length; i++)
                sum = Reduce((UInt128)sum + Multiply(weights[i], ElementOf(shares[i], chunk)));
            if (sum >> (8 * LengthOf(chunk)) != 0)
                return null;
            for (int i = 0; i < LengthOf(chunk); i++)
                secret[chunk * ChunkBytes + i] = (byte)(sum >> (8 * i));
        }
        return secret;
    }

    /// <summary>Whether bytes can be a share.</summary>
    public static bool IsShare(ReadOnlySpan<byte> share)
    {
        if (share.Length != ShareBytes)
            return false;
        for (int chunk = 0; chunk < Chunks; chunk++)
            if (ElementOf(share, chunk) >= Prime)
                return false;
        return true;
    }

    // Lagrange: product over j of x_j / (x_j - x_i).
    static ulong[] WeightsAtZero(ReadOnlySpan<int> points)
    {
        ulong[] weights = new ulong[points.Length];
        for (int i = 0; i < points.Length; i++)
        {
            ulong above = 1, below = 1;
            for (int j = 0; j < points.Length; j++)
                if (j != i)
                {
                    if (points[i] == points[j])
                        throw new ArgumentException($"Shamir: two shares at point {points[i]}");
                    above = Multiply(above, (ulong)points[j]);
                    below = Multiply(below, points[j] > points[i] ? (ulong)(points[j] - points[i]) : Prime - (ulong)(points[i] - points[j]));
                }
            weights[i] = Multiply(above, Inverse(below));
        }
        return weights;
    }

    static ulong Evaluate(ReadOnlySpan<ulong> coefficients, ulong point)
    {
        ulong value = 0;
        for (int i = coefficients.Length - 1; i >= 0; i--)
            value = Reduce((UInt128)value * point + coefficients[i]);
        return value;
    }

    static ulong Multiply(ulong a, ulong b) => Reduce((UInt128)a * b);

    // Below 2^124: 2^61 = 1, so that the upper bits are added to the lower ones.
    static ulong Reduce(UInt128 value)
    {
        ulong sum = ((ulong)value & Prime) + (ulong)(value >> 61);
        sum = (sum & Prime) + (sum >> 61);
        return sum >= Prime ? sum - Prime : sum;
    }

    // a^(p - 2)
    static ulong Inverse(ulong value)
    {
        ulong power = 1;
        for (ulong exponent = Prime - 2; exponent > 0; exponent >>= 1)
        {
            if ((exponent & 1) == 1)
                power = Multiply(power, value);
            value = Multiply(value, value);
        }
        return power;
    }

    static ulong Element(RandomNumberGenerator random)
    {
        byte[] bytes = new byte[sizeof(ulong)];
        while (true)
        {
            random.GetBytes(bytes);
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes) & Prime;
            if (value < Prime)
                return value;
        }
    }

    static ulong ChunkOf(ReadOnlySpan<byte> secret, int chunk)
    {
        ulong value = 0;
        for (int i = LengthOf(chunk) - 1; i >= 0; i--)
            value = value << 8 | secret[chunk * ChunkBytes + i];
        return value;
    }

    static int LengthOf(int chunk) => Math.Min(ChunkBytes, SecretBytes - chunk * ChunkBytes);

    static ulong ElementOf(ReadOnlySpan<byte> share, int chunk) => BinaryPrimitives.ReadUInt64LittleEndian(share[(chunk * sizeof(ulong))..]);
}

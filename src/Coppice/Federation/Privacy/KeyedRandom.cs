using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Federation.Privacy;

/// <summary>Random numbers that nobody without the key can tell from chance: AES-256 over a counter, with a key derived for one purpose (HKDF-SHA256). The same key and purpose give the same numbers.</summary>
sealed class KeyedRandom : IDisposable
{
    const int BufferBytes = 4096, BlockBytes = 16;

    readonly Aes aes = Aes.Create();
    readonly byte[] counters = new byte[BufferBytes], stream = new byte[BufferBytes];
    ulong block;
    int at = BufferBytes;
    double spare = double.NaN;

    public KeyedRandom(byte[] key, string purpose) => aes.Key = HKDF.DeriveKey(HashAlgorithmName.SHA256, key, 32, info: Encoding.UTF8.GetBytes(purpose));

    /// <summary>Uniform in (0, 1]: whole numbers of 53 bits over 2^53.</summary>
    public double NextUniform()
    {
        if (at == BufferBytes)
        {
            for (int i = 0; i < BufferBytes; i += BlockBytes)
                BinaryPrimitives.WriteUInt64LittleEndian(counters.AsSpan(i), block++);
            aes.EncryptEcb(counters, stream, PaddingMode.None);
            at = 0;
        }
        ulong bits = BinaryPrimitives.ReadUInt64LittleEndian(stream.AsSpan(at));
        at += sizeof(ulong);
        return ((bits >> 11) + 1) * (1.0 / (1UL << 53));
    }

    /// <summary>Mean 0, deviation 1 (Box and Muller 1958).</summary>
    public double NextGaussian()
    {
        if (!double.IsNaN(spare))
        {
            double kept = spare;
            spare = double.NaN;
            return kept;
        }
        double radius = Math.Sqrt(-2 * Math.Log(NextUniform())), angle = 2 * Math.PI * NextUniform();
        spare = radius * Math.Sin(angle);
        return radius * Math.Cos(angle);
    }

    public void Dispose() => aes.Dispose();
}

using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>A key pair on P-256 for agreeing on secrets (ECDH, SP 800-56A), used in one attempt at one round and for one purpose.</summary>
sealed class AgreementKey : IDisposable
{
    /// <summary>Length of a public key: 4, then x and y of 32 bytes each, big-endian (SEC 1, uncompressed).</summary>
    public const int PublicBytes = 65;

    readonly ECDiffieHellman key;

    // FIPS 186-4, D.1.2.3
    static ReadOnlySpan<byte> Order =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];

    AgreementKey(ECDiffieHellman key)
    {
        this.key = key;
        ECPoint point = key.ExportParameters(includePrivateParameters: false).Q;
        Public = [4, .. point.X!, .. point.Y!];
    }

    /// <summary>A fresh pair, by the system's generator.</summary>
    public static AgreementKey Create() => new(ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256));

    /// <summary>Whether 32 bytes, big-endian, are a private key: above 0 and below the group's order.</summary>
    public static bool IsPrivate(ReadOnlySpan<byte> privateKey) => privateKey.Length == Order.Length && privateKey.ContainsAnyExcept((byte)0) && privateKey.SequenceCompareTo(Order) < 0;

    /// <summary>The pair of a private key.</summary>
    public static AgreementKey FromPrivate(byte[] privateKey) => new(ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = privateKey }));

    /// <summary>The public key, as it is sent.</summary>
    public byte[] Public { get; }

    /// <summary>The private key, 32 bytes, big-endian: what is shared out.</summary>
    public byte[] ExportPrivate() => key.ExportParameters(includePrivateParameters: true).D!;

    /// <summary>x of the common point, 32 bytes.</summary>
    /// <param name="owner">Whose key <paramref name="other"/> is, for the message.</param>
    /// <param name="other">Another's public key, which is not trusted.</param>
    /// <exception cref="CoppiceException">It is no point of the curve.</exception>
    public byte[] Agree(string owner, ReadOnlySpan<byte> other)
    {
        using ECDiffieHellman point = Import(owner, other);
        return key.DeriveRawSecretAgreement(point.PublicKey);
    }

    /// <summary>32 bytes that both have: HKDF-SHA256 (RFC 5869) of the common point.</summary>
    /// <param name="salt">The hash of the attempt and all who take part.</param>
    /// <param name="info">What the bytes are for.</param>
    public byte[] Derive(string owner, ReadOnlySpan<byte> other, byte[] salt, byte[] info)
    {
        byte[] secret = Agree(owner, other);
        byte[] derived = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, Masks.KeyBytes, salt, info);
        CryptographicOperations.ZeroMemory(secret);
        return derived;
    }

    /// <summary>Throws unless bytes are a point of the curve.</summary>
    public static void Check(string owner, ReadOnlySpan<byte> publicKey) => Import(owner, publicKey).Dispose();

    public void Dispose() => key.Dispose();

    static ECDiffieHellman Import(string owner, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != PublicBytes || bytes[0] != 4)
            throw FormatError.At($"public key of client '{owner}'", $"has {bytes.Length} bytes, wanted {PublicBytes} that begin with 4");
        try
        {
            return ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = bytes[1..33].ToArray(), Y = bytes[33..].ToArray() } });
        }
        catch (CryptographicException error)
        {
            throw FormatError.At($"public key of client '{owner}'", $"is no point of P-256: {error.Message}", error);
        }
    }
}

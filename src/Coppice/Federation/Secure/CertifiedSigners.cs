using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Federation.Remote;

namespace Coppice.Federation.Secure;

/// <summary>Clients' keys as the run's authority certifies them: a signature counts with a certificate that was issued by it to a client of that name, and is valid now. So nobody without the authority's key can pass keys off as a client's.</summary>
/// <param name="authority">The run's authority.</param>
/// <param name="time">Says what is valid.</param>
/// <param name="enrolled">SHA-256, in hexadecimal, of the one certificate that counts for a client, null for a client that is shut out; a server knows that, clients do not.</param>
public sealed class CertifiedSigners(X509Certificate2 authority, TimeProvider time, Func<string, string?>? enrolled = null) : ISigners
{
    const int LongestCertificate = 8 << 10, KeyBits = 256;

    /// <inheritdoc/>
    public string? Refuses(string client, byte[] certificate, byte[] hash, byte[] signature)
    {
        using X509Certificate2? own = Read(certificate);
        if (own is null)
            return "come with no certificate that can be read";
        if (ClientCertificates.Refuses(authority, own, time.GetUtcNow()) is { } reason)
            return $"their certificate {reason}";
        if (ClientCertificates.NameOf(own) is var name && name != client)
            return $"their certificate is that of '{name}'";
        if (enrolled is not null && enrolled(client) != ClientCertificates.ThumbprintOf(own))
            return "their certificate is not the one that is enrolled";
        using ECDsa? key = own.GetECDsaPublicKey();
        return key is { KeySize: KeyBits } && key.VerifyHash(hash, signature) ? null : SigningKeys.NotSigned;
    }

    static X509Certificate2? Read(byte[] certificate)
    {
        if (certificate.Length is 0 or > LongestCertificate)
            return null;
        try
        {
            return X509CertificateLoader.LoadCertificate(certificate);
        }
        catch (CryptographicException)
        {
            // What anybody sent; the caller says what it is of.
            return null;
        }
    }
}

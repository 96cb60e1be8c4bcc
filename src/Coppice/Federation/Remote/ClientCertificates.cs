using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Coppice.Federation.Remote;

/// <summary>What makes a certificate a client's: issued by the run's authority for client authentication, and valid now. Server and clients ask the same.</summary>
static class ClientCertificates
{
    /// <summary>The extended key usage of clients: TLS client authentication (RFC 5280).</summary>
    public const string Use = "1.3.6.1.5.5.7.3.2";

    /// <summary>Why a certificate is not one of an authority's for a client, or null.</summary>
    public static string? Refuses(X509Certificate2 authority, X509Certificate2 certificate, DateTimeOffset now)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationTime = now.LocalDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(Use));
        if (chain.Build(certificate))
            return null;
        return chain.ChainStatus.Any(status => status.Status != X509ChainStatusFlags.NotTimeValid)
            ? "was not issued to a client by this run's authority"
            : $"is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}";
    }

    /// <summary>The client's name in the run: the common name.</summary>
    public static string NameOf(X509Certificate2 certificate) => certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);

    /// <summary>SHA-256 of a certificate, in hexadecimal.</summary>
    public static string ThumbprintOf(X509Certificate2 certificate) => certificate.GetCertHashString(HashAlgorithmName.SHA256).ToLowerInvariant();
}

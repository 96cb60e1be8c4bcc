using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Remote;

/// <summary>What a client shows and whom it trusts: its certificate with the private key, and the certificate of the authority that issued it and the server's.</summary>
public sealed class ClientIdentity : IDisposable
{
    ClientIdentity(X509Certificate2 certificate, X509Certificate2 authority) => (Certificate, Authority) = (certificate, authority);

    /// <summary>The client's certificate, with its key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>The one authority that it trusts.</summary>
    public X509Certificate2 Authority { get; }

    /// <summary>The client's name in the run: the common name.</summary>
    public string Name => ClientCertificates.NameOf(Certificate);

    /// <summary>Reads the PEM file that <c>coppice federate init --client</c> wrote: certificate, key and authority.</summary>
    /// <exception cref="CoppiceException">The file is absent, damaged, or expired.</exception>
    public static ClientIdentity Load(string path, TimeProvider time)
    {
        try
        {
            string pem = File.ReadAllText(path);
            X509Certificate2Collection all = [];
            all.ImportFromPem(pem);
            if (all.Count != 2)
                throw FormatError.At(path, $"holds {all.Count} certificates, wanted the client's and its authority's");
            using X509Certificate2 own = X509Certificate2.CreateFromPem(pem, pem);
            // Some systems' TLS takes keys from a store only, which this form goes through.
            X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), password: null);
            if (time.GetUtcNow() is var now && (now < certificate.NotBefore || now > certificate.NotAfter))
                throw FormatError.At(path, $"is valid from {certificate.NotBefore:u} to {certificate.NotAfter:u}; ask for a new one");
            return new ClientIdentity(certificate, all[1]);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw FormatError.At(path, $"could not be read as a client's certificate: {error.Message}", error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Certificate.Dispose();
        Authority.Dispose();
    }
}

using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Federation.Remote;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Server.Certificates;

/// <summary>
/// The certificate authority of one run's folder: ECDSA over P-256, trusted by the run's server and clients and by nobody else. To issue certificates takes its key, to check them does not: a
/// server does without.
/// </summary>
sealed class Authority : IDisposable
{
    const string CertificateFile = "authority.pem", KeyFile = "authority.key", ServerFile = "server.pem", ClientFolder = "clients";
    const string ServerUse = "1.3.6.1.5.5.7.3.1";

    static readonly TimeSpan Validity = TimeSpan.FromDays(3650), LeafValidity = TimeSpan.FromDays(825), ClockSkew = TimeSpan.FromHours(1);

    readonly string folder;

    Authority(string folder, X509Certificate2 certificate) => (this.folder, Certificate) = (folder, certificate);

    /// <summary>Its certificate.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>Whether a folder has an authority.</summary>
    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, CertificateFile));

    /// <summary>Makes an authority in a folder that has none.</summary>
    public static Authority Create(string folder, DateTimeOffset now)
    {
        PrivateFolder.Create(folder);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request("Coppice federation", key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        using X509Certificate2 certificate = request.CreateSelfSigned(now - ClockSkew, now + Validity);
        // The certificate is last: with it, the authority is there.
        PrivateFile.Write(Path.Combine(folder, KeyFile), key.ExportPkcs8PrivateKeyPem() + "\n");
        PrivateFile.Write(Path.Combine(folder, CertificateFile), certificate.ExportCertificatePem() + "\n");
        return Open(folder);
    }

    /// <summary>The authority of a folder.</summary>
    /// <exception cref="CoppiceException">There is none, or its file is damaged.</exception>
    public static Authority Open(string folder) => new(folder, Read(Path.Combine(folder, CertificateFile), X509CertificateLoader.LoadCertificateFromFile));

    /// <summary>Issues the server's certificate for its names and addresses; it replaces an older one.</summary>
    public void IssueServer(IReadOnlyList<string> hosts, DateTimeOffset now)
    {
        SubjectAlternativeNameBuilder names = new();
        foreach (string host in hosts)
            if (IPAddress.TryParse(host, out IPAddress? address))
                names.AddIpAddress(address);
            else if (Uri.CheckHostName(host) == UriHostNameType.Dns)
                names.AddDnsName(host);
            else
                throw new CoppiceException($"host '{host}': is neither a name nor an address");
        (string pem, X509Certificate2 certificate) = Issue(hosts[0], ServerUse, names.Build(), now, now + LeafValidity);
        certificate.Dispose();
        PrivateFile.Write(Path.Combine(folder, ServerFile), pem);
    }

    /// <summary>The server's certificate with its key.</summary>
    /// <exception cref="CoppiceException">It was not issued yet, or is damaged.</exception>
    public X509Certificate2 Server() => Path.Combine(folder, ServerFile) is var file && File.Exists(file)
        ? Load(file, file)
        : throw new CoppiceException($"{folder}: has no certificate of the server's; 'coppice federate init {folder} --host NAME' makes one");

    /// <summary>Issues a client's certificate: one private file with it, its key, and this authority's certificate, all that the client needs.</summary>
    /// <returns>The file, and the certificate's <see cref="ThumbprintOf"/>.</returns>
    public (string Path, string Thumbprint) IssueClient(string client, DateTimeOffset now, TimeSpan? validity = null)
    {
        CheckName(client);
        string path = Path.Combine(folder, ClientFolder, client + ".pem");
        PrivateFolder.Create(Path.Combine(folder, ClientFolder));
        (string pem, X509Certificate2 certificate) = Issue(client, ClientCertificates.Use, null, now, now + (validity ?? LeafValidity));
        using (certificate)
        {
            PrivateFile.Write(path, pem + Certificate.ExportCertificatePem() + "\n");
            return (path, ThumbprintOf(certificate));
        }
    }

    /// <summary>SHA-256 of a certificate, in hexadecimal.</summary>
    public static string ThumbprintOf(X509Certificate2 certificate) => ClientCertificates.ThumbprintOf(certificate);

    /// <summary>Why a client's certificate is not one of this authority's that is valid now, or null.</summary>
    public string? Refuses(X509Certificate2 certificate, DateTimeOffset now) => ClientCertificates.Refuses(Certificate, certificate, now);

    /// <summary>Throws unless a name can be a client's: it is one of a file, too, and stands in logs.</summary>
    public static void CheckName(string client)
    {
        if (client.Length is 0 or > 64 || client[0] == '.' || !client.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-'))
            throw FormatError.At("client", $"'{client}' cannot be a name, wanted 1 to 64 letters, digits, dots, dashes or underscores");
    }

    /// <inheritdoc/>
    public void Dispose() => Certificate.Dispose();

    (string Pem, X509Certificate2 Certificate) Issue(string name, string use, X509Extension? names, DateTimeOffset from, DateTimeOffset to)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request(name, key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], critical: true));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        if (names is not null)
            request.CertificateExtensions.Add(names);
        DateTimeOffset begin = from - ClockSkew, earliest = new(Certificate.NotBefore), latest = new(Certificate.NotAfter);
        using X509Certificate2 issuer = Load(Path.Combine(folder, CertificateFile), Path.Combine(folder, KeyFile));
        X509Certificate2 certificate = request.Create(issuer, begin < earliest ? earliest : begin, to > latest ? latest : to, RandomNumberGenerator.GetBytes(16));
        return ($"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n", certificate);
    }

    static CertificateRequest Request(string name, ECDsa key)
    {
        X500DistinguishedNameBuilder subject = new();
        subject.AddCommonName(name);
        CertificateRequest request = new(subject.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request;
    }

    static X509Certificate2 Load(string certificate, string key) => Read(key, path =>
    {
        using X509Certificate2 both = X509Certificate2.CreateFromPemFile(certificate, path);
        // Some systems' TLS takes keys from a store only, which this form goes through.
        return X509CertificateLoader.LoadPkcs12(both.Export(X509ContentType.Pkcs12), password: null, X509KeyStorageFlags.Exportable);
    });

    static X509Certificate2 Read(string path, Func<string, X509Certificate2> read)
    {
        try
        {
            return read(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new CoppiceException($"{path}: could not be read: {error.Message}", error);
        }
    }
}

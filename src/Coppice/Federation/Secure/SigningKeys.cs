using System.Security.Cryptography;

namespace Coppice.Federation.Secure;

/// <summary>Clients' public keys for signatures (ECDSA P-256), known from elsewhere than the server that they are there to watch.</summary>
public sealed class SigningKeys : ISigners, IDisposable
{
    internal const string NotSigned = "are not signed by it";

    readonly Dictionary<string, ECDsa> keys = new(StringComparer.Ordinal);

    /// <summary>Keys by client, as SubjectPublicKeyInfo.</summary>
    /// <exception cref="CryptographicException">Bytes are no such key.</exception>
    public SigningKeys(IEnumerable<(string Client, byte[] PublicKey)> keys)
    {
        foreach ((string client, byte[] publicKey) in keys)
        {
            ECDsa key = ECDsa.Create();
            this.keys.Add(client, key);
            key.ImportSubjectPublicKeyInfo(publicKey, out _);
        }
    }

    /// <inheritdoc/>
    public string? Refuses(string client, byte[] certificate, byte[] hash, byte[] signature) => keys.TryGetValue(client, out ECDsa? key) && key.VerifyHash(hash, signature) ? null : NotSigned;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ECDsa key in keys.Values)
            key.Dispose();
    }
}

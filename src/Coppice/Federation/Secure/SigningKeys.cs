using System.Security.Cryptography;

namespace Coppice.Federation.Secure;

/// <summary>Clients' public keys for signatures (ECDSA P-256), known from elsewhere than the server that they are there to watch.</summary>
public sealed class SigningKeys : IDisposable
{
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

    /// <summary>Whether a client signed a hash: r and s of 32 bytes each (IEEE P1363).</summary>
    internal bool Verify(string client, byte[] hash, byte[] signature) => keys.TryGetValue(client, out ECDsa? key) && key.VerifyHash(hash, signature);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ECDsa key in keys.Values)
            key.Dispose();
    }
}

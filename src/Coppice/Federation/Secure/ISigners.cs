namespace Coppice.Federation.Secure;

/// <summary>Who signs as whom in a run, known from elsewhere than the server that signatures are there to watch.</summary>
public interface ISigners
{
    /// <summary>Why a client is not taken to have signed a hash, or null where it is.</summary>
    /// <param name="client">The client's name.</param>
    /// <param name="certificate">The certificate that it showed (DER); empty where keys are known without.</param>
    /// <param name="hash">SHA-256 of what is signed.</param>
    /// <param name="signature">ECDSA P-256: r and s of 32 bytes each (IEEE P1363).</param>
    string? Refuses(string client, byte[] certificate, byte[] hash, byte[] signature);
}

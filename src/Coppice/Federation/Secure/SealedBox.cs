using System.Security.Cryptography;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>AES-256-GCM (NIST SP 800-38D) under a key that seals one message in its life, so that the nonce is 12 zero bytes: the ciphertext, then a tag of 16 bytes.</summary>
static class SealedBox
{
    /// <summary>How much longer a sealed message is.</summary>
    public const int TagBytes = 16;

    const int NonceBytes = 12;

    /// <summary>Seals a message.</summary>
    public static byte[] Seal(byte[] key, ReadOnlySpan<byte> message, ReadOnlySpan<byte> associated)
    {
        byte[] box = new byte[message.Length + TagBytes];
        using AesGcm gcm = new(key, TagBytes);
        gcm.Encrypt(stackalloc byte[NonceBytes], message, box.AsSpan(0, message.Length), box.AsSpan(message.Length), associated);
        return box;
    }

    /// <summary>Opens what <see cref="Seal"/> made.</summary>
    /// <exception cref="CoppiceException">It was changed, or sealed with another key or for something else.</exception>
    public static byte[] Open(byte[] key, ReadOnlySpan<byte> box, ReadOnlySpan<byte> associated)
    {
        if (box.Length < TagBytes)
            throw new CoppiceException($"a sealed message of {box.Length} bytes, wanted {TagBytes} or more");
        byte[] message = new byte[box.Length - TagBytes];
        using AesGcm gcm = new(key, TagBytes);
        try
        {
            gcm.Decrypt(stackalloc byte[NonceBytes], box[..^TagBytes], box[^TagBytes..], message, associated);
        }
        catch (AuthenticationTagMismatchException error)
        {
            throw new CoppiceException("a sealed message was changed on its way, or is not for this client", error);
        }
        return message;
    }
}

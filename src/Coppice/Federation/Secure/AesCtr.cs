using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Coppice.Federation.Secure;

/// <summary>
/// A stream of bytes that nobody without the key can tell from chance: AES in counter mode (NIST SP 800-38A, 6.5), block i being AES(key, counter + i) with the counter as 16 bytes big-endian.
/// Many blocks go through the cipher in one call, so that the processor's AES instructions set the pace.
/// </summary>
sealed class AesCtr : IDisposable
{
    const int BlockBytes = 16, MaxBufferBytes = 1 << 16;

    readonly Aes aes = Aes.Create();
    readonly ICryptoTransform encryptor;
    readonly byte[] counters, stream;
    readonly int capacity;
    UInt128 next;
    int at, filled;

    /// <summary>A stream from its start on.</summary>
    /// <param name="key">16, 24 or 32 bytes.</param>
    /// <param name="counter">The first block's counter.</param>
    /// <param name="expectedBytes">How much will be asked for, about; short streams then take little memory.</param>
    public AesCtr(byte[] key, UInt128 counter = default, long expectedBytes = MaxBufferBytes)
    {
        aes.Key = key;
        aes.Mode = CipherMode.ECB;
        aes.Padding = PaddingMode.None;
        encryptor = aes.CreateEncryptor();
        next = counter;
        capacity = (int)Math.Clamp((expectedBytes + BlockBytes - 1) / BlockBytes * BlockBytes, BlockBytes, MaxBufferBytes);
        counters = ArrayPool<byte>.Shared.Rent(capacity);
        stream = ArrayPool<byte>.Shared.Rent(capacity);
    }

    /// <summary>The next bytes, as many as are at hand, and at most <paramref name="most"/>; valid until the next call.</summary>
    public ReadOnlySpan<byte> Next(int most)
    {
        if (at == filled)
            Refill();
        ReadOnlySpan<byte> taken = stream.AsSpan(at, Math.Min(most, filled - at));
        at += taken.Length;
        return taken;
    }

    /// <summary>Fills a span with the next bytes.</summary>
    public void Fill(Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            ReadOnlySpan<byte> part = Next(destination.Length);
            part.CopyTo(destination);
            destination = destination[part.Length..];
        }
    }

    void Refill()
    {
        // Two words a block; the upper one changes where the lower one comes round to 0.
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(counters.AsSpan(0, capacity));
        ulong lower = (ulong)next, upper = BinaryPrimitives.ReverseEndianness((ulong)(next >> 64));
        for (int i = 0; i + 1 < words.Length; i += 2)
        {
            words[i] = upper;
            words[i + 1] = BinaryPrimitives.ReverseEndianness(lower);
            if (++lower == 0)
                upper = BinaryPrimitives.ReverseEndianness(BinaryPrimitives.ReverseEndianness(upper) + 1);
        }
        next += (UInt128)(capacity / BlockBytes);
        filled = encryptor.TransformBlock(counters, 0, capacity, stream, 0);
        at = 0;
    }

    public void Dispose()
    {
        encryptor.Dispose();
        aes.Dispose();
        ArrayPool<byte>.Shared.Return(counters);
        ArrayPool<byte>.Shared.Return(stream, clearArray: true);
    }
}

using Coppice.Tensors;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Formats;

/// <summary>Random access to a file that is not trusted. Positioned reads, not a memory map: a file cut short while it is read is an exception here and a crash there,
/// and mapped pages would count as memory in use.</summary>
sealed class BinaryFile : IDisposable
{
    readonly SafeFileHandle? handle;
    readonly ReadOnlyMemory<byte> bytes;

    /// <summary>Bytes that came by another way than a file; <paramref name="name"/> stands for the path in messages.</summary>
    public BinaryFile(string name, ReadOnlyMemory<byte> bytes) => (Path, this.bytes, Length) = (name, bytes, bytes.Length);

    /// <summary>Opens a file for reading.</summary>
    public BinaryFile(string path)
    {
        Path = path;
        try
        {
            handle = File.OpenHandle(path);
            Length = RandomAccess.GetLength(handle);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            handle?.Dispose();
            throw FormatError.At(path, $"could not be read: {error.Message}", error);
        }
    }

    public string Path { get; }

    /// <summary>Bytes in the file when it was opened.</summary>
    public long Length { get; }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/> on. <paramref name="what"/> is named in the message: <c>tensor 'x'</c>.</summary>
    public void Read(long offset, Span<byte> destination, string what)
    {
        try
        {
            while (destination.Length > 0)
            {
                int count = handle is null ? ReadBytes(offset, destination) : RandomAccess.Read(handle, destination, offset);
                if (count == 0)
                    throw Error($"{what} goes on past byte {offset:N0}, where the file ends");
                offset += count;
                destination = destination[count..];
            }
        }
        catch (IOException error)
        {
            throw FormatError.At(Path, $"could not be read: {error.Message}", error);
        }
    }

    /// <summary>A failure that names this file.</summary>
    public CoppiceException Error(string message) => FormatError.At(Path, message);

    public void Dispose() => handle?.Dispose();

    int ReadBytes(long offset, Span<byte> destination)
    {
        ReadOnlySpan<byte> rest = bytes.Span[(int)Math.Min(offset, Length)..];
        int count = Math.Min(rest.Length, destination.Length);
        rest[..count].CopyTo(destination);
        return count;
    }
}

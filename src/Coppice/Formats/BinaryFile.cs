using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Formats;

/// <summary>Random access to a file that is not trusted: positioned reads of headers and small tensors, memory maps of large matrices. Whoever maps has held the place against <see cref="Length"/>.</summary>
sealed class BinaryFile : IDisposable
{
    readonly SafeFileHandle? handle;
    readonly ReadOnlyMemory<byte> bytes;
    MemoryMappedFile? mapping;

    /// <summary>Bytes that came by another way than a file; <paramref name="name"/> stands for the path in messages.</summary>
    public BinaryFile(string name, ReadOnlyMemory<byte> bytes) => (Path, this.bytes, Length) = (name, bytes, bytes.Length);

    /// <summary>Opens a file for reading; <paramref name="name"/> stands for the path in messages.</summary>
    public BinaryFile(string path, string? name = null)
    {
        Path = name ?? path;
        try
        {
            handle = File.OpenHandle(path);
            Length = RandomAccess.GetLength(handle);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            handle?.Dispose();
            throw FormatError.At(Path, $"could not be read: {error.Message}", error);
        }
    }

    BinaryFile(string path, SafeFileHandle handle, long start, long length) => (Path, this.handle, Start, Length) = (path, handle, start, length);

    /// <summary>What of a file that was opened lies behind byte <paramref name="start"/>, to be used and closed in place of this.</summary>
    public BinaryFile Rest(long start) => handle is null ? new(Path, bytes[(int)start..]) : new(Path, handle, Start + start, Length - start);

    public string Path { get; }

    /// <summary>Whether views are maps, or, for who goes through a file once, copies: pages of a map count as memory until the collector comes by.</summary>
    public WeightReading Reading { get; set; }

    /// <summary>Bytes when it was opened.</summary>
    public long Length { get; }

    /// <summary>Where in the file on the disk byte 0 is.</summary>
    public long Start { get; }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/> on. <paramref name="what"/> is named in the message: <c>tensor 'x'</c>.</summary>
    public void Read(long offset, Span<byte> destination, string what)
    {
        try
        {
            while (destination.Length > 0)
            {
                int count = handle is null ? ReadBytes(offset, destination) : RandomAccess.Read(handle, destination, Start + offset);
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

    /// <summary>
    /// Values from byte <paramref name="offset"/> on as they lie in the file: a map, which outlives this object, where they are aligned and not read on demand, else a copy.
    /// <paramref name="what"/> is named in the message: <c>tensor 'x'</c>.
    /// </summary>
    public ReadOnlyMemory<T> View<T>(long offset, int count, string what) where T : unmanaged
    {
        long size = (long)count * Unsafe.SizeOf<T>();
        if (offset < 0 || size > Length - offset)
            throw Error($"{what} goes on past byte {Length:N0}, where the file ends");
        if (handle is null || count == 0 || Reading == WeightReading.OnDemand || (Start + offset) % Alignment<T>.Bytes != 0)
        {
            T[] copy = GC.AllocateUninitializedArray<T>(count);
            Read(offset, MemoryMarshal.AsBytes(copy.AsSpan()), what);
            return copy;
        }
        try
        {
            mapping ??= MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            return new MappedView<T>(this, mapping, offset, count, what).Memory;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw FormatError.At(Path, $"could not be mapped: {error.Message}", error);
        }
    }

    /// <summary>The same in <paramref name="rows"/> rows that are read each time they are asked for; <paramref name="check"/> sees what was read, and where it begins.</summary>
    public ReadOnlyMemory<T> Defer<T>(long offset, int rows, int rowLength, string what, DeferredMemory<T>.ReadRows? check = null) where T : unmanaged => new DeferredMemory<T>(rows, rowLength, (firstRow, values) =>
    {
        Read(offset + (long)firstRow * rowLength * Unsafe.SizeOf<T>(), MemoryMarshal.AsBytes(values), what);
        check?.Invoke(firstRow, values);
    }).Memory;

    // The struct places a T behind one byte, as far as its alignment asks for.
    [StructLayout(LayoutKind.Sequential)]
    struct Alignment<T> where T : unmanaged
    {
        byte before;
        T value;

        public static int Bytes => Unsafe.SizeOf<Alignment<T>>() - Unsafe.SizeOf<T>();
    }

    /// <summary>A failure that names this file.</summary>
    public CoppiceException Error(string message) => FormatError.At(Path, message);

    /// <summary>Closes the file, unless there are views of it: those stay, and read through it.</summary>
    public void Dispose()
    {
        if (mapping is null)
            handle?.Dispose();
        mapping?.Dispose();
    }

    int ReadBytes(long offset, Span<byte> destination)
    {
        ReadOnlySpan<byte> rest = bytes.Span[(int)Math.Min(offset, Length)..];
        int count = Math.Min(rest.Length, destination.Length);
        rest[..count].CopyTo(destination);
        return count;
    }
}

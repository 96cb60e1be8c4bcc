using System.Buffers;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Formats;

/// <summary>
/// A part of a file as memory that the system fills from its cache when it is touched. It is unmapped once nobody holds the memory any more: whoever works
/// on a span of it keeps the memory alive meanwhile.
/// </summary>
sealed unsafe class MappedView<T> : MemoryManager<T>, IFileMemory<T> where T : unmanaged
{
    readonly BinaryFile file;
    readonly long offset;
    readonly string what;
    readonly SafeMemoryMappedViewHandle handle;
    readonly T* start;
    readonly int length;

    /// <summary>Maps <paramref name="length"/> values of <paramref name="file"/> from byte <paramref name="offset"/> on, all inside it; <paramref name="what"/> is named in messages.</summary>
    public MappedView(BinaryFile file, MemoryMappedFile mapping, long offset, int length, string what)
    {
        (this.file, this.offset, this.what) = (file, offset, what);
        // The accessor is not disposed: its handle, which unmaps when it is finalized, is all that it holds.
        MemoryMappedViewAccessor accessor = mapping.CreateViewAccessor(file.Start + offset, (long)length * sizeof(T), MemoryMappedFileAccess.Read);
        (handle, this.length) = (accessor.SafeMemoryMappedViewHandle, length);
        start = (T*)((byte*)handle.DangerousGetHandle() + accessor.PointerOffset);
    }

    public override Span<T> GetSpan() => new(start, length);

    public void Read(int first, Span<T> destination) => file.Read(offset + (long)first * sizeof(T), MemoryMarshal.AsBytes(destination), what);

    public override MemoryHandle Pin(int elementIndex = 0) => new(start + elementIndex, pinnable: this);

    public override void Unpin() { }

    protected override void Dispose(bool disposing) => handle.Dispose();
}

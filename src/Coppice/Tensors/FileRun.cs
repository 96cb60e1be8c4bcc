using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Tensors;

/// <summary>Memory that is a part of a file, or made when it is asked for: its values can also be copied from there, which costs less than touching each page of a file for the first time, or than making all.</summary>
internal interface IFileMemory<T> where T : unmanaged
{
    /// <summary>Copies values from the <paramref name="first"/> on.</summary>
    void Read(int first, Span<T> destination);
}

/// <summary>Reads values once, run after run: a file's through a buffer, so that its pages are not mapped for it, others where they are. For one thread.</summary>
/// <param name="memory">All values.</param>
/// <param name="most">The most values of a run.</param>
internal readonly struct FileRun<T>(ReadOnlyMemory<T> memory, int most) : IDisposable where T : unmanaged
{
    readonly ReadOnlyMemory<T> memory = memory;
    readonly T[] buffer = IsFile(memory, out _) ? ArrayPool<T>.Shared.Rent(most) : [];

    /// <summary>Values from the <paramref name="first"/> on, there until the next call.</summary>
    public ReadOnlySpan<T> Read(int first, int count)
    {
        if (!IsFile(memory, out (IFileMemory<T> Memory, int Start) file))
            return memory.Span.Slice(first, count);
        Span<T> run = buffer.AsSpan(0, count);
        file.Memory.Read(file.Start + first, run);
        return run;
    }

    public void Dispose() => ArrayPool<T>.Shared.Return(buffer);

    internal static bool IsFile(ReadOnlyMemory<T> memory, out (IFileMemory<T> Memory, int Start) file)
    {
        bool managed = MemoryMarshal.TryGetMemoryManager(memory, out MemoryManager<T>? manager, out int start, out _);
        file = managed && manager is IFileMemory<T> found ? (found, start) : default;
        return file.Memory is not null;
    }
}

/// <summary>Looks through memory piece by piece.</summary>
internal static class FileRun
{
    const int PieceBytes = 256 << 10;

    /// <summary>Copies values from the <paramref name="first"/> on.</summary>
    public static void Copy<T>(ReadOnlyMemory<T> memory, int first, Span<T> destination) where T : unmanaged
    {
        if (FileRun<T>.IsFile(memory, out (IFileMemory<T> Memory, int Start) file))
            file.Memory.Read(file.Start + first, destination);
        else
            memory.Span.Slice(first, destination.Length).CopyTo(destination);
    }

    /// <summary>Finds the first of the values that something is the matter with, or -1.</summary>
    public delegate int Find<T>(ReadOnlySpan<T> values);

    /// <summary>The place of what <paramref name="find"/> finds first in all of <paramref name="memory"/>, or -1.</summary>
    public static int IndexOf<T>(ReadOnlyMemory<T> memory, Find<T> find) where T : unmanaged
    {
        int most = PieceBytes / Unsafe.SizeOf<T>();
        using FileRun<T> run = new(memory, most);
        for (int at = 0; at < memory.Length; at += most)
            if (find(run.Read(at, Math.Min(most, memory.Length - at))) is >= 0 and int found)
                return at + found;
        return -1;
    }
}

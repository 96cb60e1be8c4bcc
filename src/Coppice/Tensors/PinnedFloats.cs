using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Tensors;

/// <summary>Memory for float32 numbers, at first zeros. It is pinned, so that a kernel's pointers hold while other threads work, and begins on a cache line: a vector then never lies across two.</summary>
internal sealed class PinnedFloats
{
    const int LineFloats = 16;

    readonly float[] memory;
    readonly int start;

    public unsafe PinnedFloats(int length)
    {
        Length = length;
        memory = GC.AllocateArray<float>(checked(length + LineFloats - 1), pinned: true);
        nint address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(memory));
        start = (int)(-address & (LineFloats * sizeof(float) - 1)) / sizeof(float);
    }

    /// <summary>Numbers there is room for.</summary>
    public int Length { get; }

    /// <summary>The first <paramref name="count"/> numbers.</summary>
    public Span<float> First(int count) => memory.AsSpan(start, count);

    /// <summary>The same memory as 16-bit numbers, two in the place of one.</summary>
    public Span<ushort> Halves(int count) => MemoryMarshal.Cast<float, ushort>(memory.AsSpan(start, Length))[..count];
}

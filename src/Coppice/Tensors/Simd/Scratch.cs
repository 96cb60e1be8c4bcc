namespace Coppice.Tensors.Simd;

/// <summary>What a kernel keeps in a thread's scratch memory. Kernels that call one another use different slots.</summary>
internal enum ScratchSlot
{
    /// <summary>Rows of the left operand, packed.</summary>
    Left,

    /// <summary>Columns of the right operand, packed or decoded.</summary>
    Right,

    /// <summary>Attention scores and what goes with them.</summary>
    Attention,
}

/// <summary>Memory of one thread that grows to the largest size asked for and is then kept: nothing is allocated per call.</summary>
internal static unsafe class Scratch
{
    const int Alignment = 64;

    [ThreadStatic] static float[]?[]? buffers;

    /// <summary>At least <paramref name="length"/> floats on a cache line boundary, valid until the same slot is asked for again on this thread.</summary>
    public static float* Rent(ScratchSlot slot, int length)
    {
        buffers ??= new float[]?[3];
        ref float[]? buffer = ref buffers[(int)slot];
        if (buffer is null || buffer.Length < length + Alignment / sizeof(float))
            buffer = GC.AllocateUninitializedArray<float>(length + Alignment / sizeof(float), pinned: true);
        nint start = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref buffer[0]);
        return (float*)((start + Alignment - 1) & -Alignment);
    }
}

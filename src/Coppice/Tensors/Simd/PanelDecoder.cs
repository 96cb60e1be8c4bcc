using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// How <see cref="PackedPanels{TDecoder}"/> reads the weights of a storage. A panel is 16 outputs; along the inner dimension it falls into blocks of
/// <see cref="BlockSteps"/> steps and <see cref="BlockBytes"/> bytes, one behind another.
/// </summary>
/// <remarks>
/// To add a storage, write a struct with the four members and pack bytes that they understand; one-row and batch products follow. For int8 with
/// a scale for each output and 32 steps: BlockSteps 32; BlockBytes 16 * 4 + 32 * 16, the scales before the steps; Scale loads 16 floats at the block's start; Load is
/// <c>TL.Multiply(scale, TL.LoadInt8(block + 64 + step * 16 + lane))</c>. A weight must have the same bits whichever width asks for it.
/// </remarks>
internal unsafe interface IPanelDecoder
{
    /// <summary>Inner steps of a block, which share a scale; for storages without scales just a length for the inner loop.</summary>
    static abstract int BlockSteps { get; }

    /// <summary>Bytes of a block of 16 outputs, a multiple of 16.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>What the block's weights have in common, for the outputs from <paramref name="lane"/> on; nothing where there are no scales.</summary>
    static abstract TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct;

    /// <summary>Weights of the outputs from <paramref name="lane"/> on at a step of the block.</summary>
    static abstract TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct;
}

/// <summary>Weights as float32: the panels that the micro-kernel reads.</summary>
internal readonly unsafe struct Float32Panels : IPanelDecoder
{
    public static int BlockSteps => 32;

    public static int BlockBytes => BlockSteps * MicroKernel.PanelColumns * sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Load((float*)block + step * MicroKernel.PanelColumns + lane);
}

/// <summary>Weights as IEEE half precision.</summary>
internal readonly unsafe struct Float16Panels : IPanelDecoder
{
    public static int BlockSteps => 32;

    public static int BlockBytes => BlockSteps * MicroKernel.PanelColumns * sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadHalf((ushort*)block + step * MicroKernel.PanelColumns + lane);
}

/// <summary>Weights as bfloat16.</summary>
internal readonly unsafe struct BFloat16Panels : IPanelDecoder
{
    public static int BlockSteps => 32;

    public static int BlockBytes => BlockSteps * MicroKernel.PanelColumns * sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadBFloat16((ushort*)block + step * MicroKernel.PanelColumns + lane);
}

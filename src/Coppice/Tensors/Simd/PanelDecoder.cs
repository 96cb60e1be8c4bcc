using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// How <see cref="PackedPanels{TDecoder}"/> reads the weights of a storage. A panel is <see cref="Lanes"/> outputs; along the inner dimension it falls into blocks of
/// <see cref="BlockSteps"/> steps and <see cref="BlockBytes"/> bytes, one behind another, and a block into groups of <see cref="GroupSteps"/> steps that share
/// a scale and an offset.
/// </summary>
/// <remarks>
/// To add a storage, write a struct with these members and pack bytes that they understand; one-row and batch products follow. A weight must have the same
/// bits whichever width asks for it. Storages of integers implement <see cref="IIntegerPanels"/> as well.
/// </remarks>
internal unsafe interface IPanelDecoder
{
    /// <summary>Outputs of a panel, a multiple of 16. Four vectors side by side make one row's product read memory line after line.</summary>
    static virtual int Lanes => WideLanes;

    /// <summary>The <see cref="Lanes"/> of all storages but float32.</summary>
    const int WideLanes = 64;

    /// <summary>Inner steps of a block.</summary>
    static abstract int BlockSteps { get; }

    /// <summary>Bytes of a block of all lanes, a multiple of 16.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Steps that share a scale; for storages without scales just a length for the inner loop. Divides <see cref="BlockSteps"/>.</summary>
    static virtual int GroupSteps => 32;

    /// <summary>What the scales of a block have in common, for <see cref="Scale"/>; nothing where there is no such thing.</summary>
    static virtual TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => default;

    /// <summary>What the offsets of a block have in common, for <see cref="Offset"/>.</summary>
    static virtual TV BlockOffset<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => default;

    /// <summary>What a group's weights are multiplied by, for the outputs from <paramref name="lane"/> on; nothing where there are no scales.</summary>
    static virtual TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct => default;

    /// <summary>What is taken from a group's weights once they are multiplied; nothing where there are no offsets.</summary>
    static virtual TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct => default;

    /// <summary>Weights of the outputs from <paramref name="lane"/> on at a step of the block.</summary>
    static abstract TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct;
}

/// <summary>
/// How integer products read a storage: w = scale * code - offset. Codes come four steps at a time, as four bytes in each output's lane:
/// <code>
/// lane      0             1                  63
/// bytes  k0 k1 k2 k3 | k0 k1 k2 k3 | ... | k0 k1 k2 k3
/// </code>
/// </summary>
internal unsafe interface IIntegerPanels : IPanelDecoder
{
    /// <summary>Whether codes are signed bytes, which take 16-bit products; otherwise they are small and not negative, and products of bytes do.</summary>
    static abstract bool Signed { get; }

    /// <summary>Steps, in fours, whose products of bytes fit the 16 bits that they are added up in: 8 for codes of 0 to 15, 2 for codes of 0 to 63.</summary>
    static virtual int SumFours => 8;

    /// <summary>The code that stands for zero everywhere.</summary>
    static virtual int Zero => 0;

    /// <summary>Whether there are offsets.</summary>
    static virtual bool HasOffsets => false;

    /// <summary>How far ahead of a group its block is asked for: more than a block where a group's bits lie at several places of it.</summary>
    static virtual int Ahead => Prefetching.Ahead;

    /// <summary>How far a group's codes have to be shifted right in their bytes, for <see cref="Codes"/>.</summary>
    static virtual int Shift(int group) => 0;

    /// <summary>Codes of the steps 4 <paramref name="four"/> to 4 <paramref name="four"/> + 3 of a group; <paramref name="shift"/> is <see cref="Shift"/> in every lane.</summary>
    static abstract TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct;

    /// <summary>Whether a group's codes are read by <see cref="PartedCodes"/>.</summary>
    static virtual bool IsParted(int group) => false;

    /// <summary>As <see cref="Codes"/>, for groups whose codes lie otherwise than those of most: to be told apart before a loop, not in it.</summary>
    static virtual TI PartedCodes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct => default;
}

/// <summary>Weights as float32: the panels that the micro-kernel reads.</summary>
internal readonly unsafe struct Float32Panels : IPanelDecoder
{
    public static int BlockSteps => 32;

    public static int GroupSteps => 8;

    public static int BlockBytes => BlockSteps * MicroKernel.PanelColumns * sizeof(float);

    public static int Lanes => MicroKernel.PanelColumns;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Load((float*)block + step * MicroKernel.PanelColumns + lane);
}

/// <summary>Weights as IEEE half precision, all of them finite.</summary>
internal readonly unsafe struct Float16Panels : IPanelDecoder
{
    public static int BlockSteps => 32;

    public static int GroupSteps => 8;

    public static int BlockBytes => BlockSteps * IPanelDecoder.WideLanes * sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + step * IPanelDecoder.WideLanes + lane);
}

/// <summary>Weights as bfloat16.</summary>
internal readonly unsafe struct BFloat16Panels : IPanelDecoder
{
    public static int BlockSteps => 32;

    public static int GroupSteps => 8;

    public static int BlockBytes => BlockSteps * IPanelDecoder.WideLanes * sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadBFloat16((ushort*)block + step * IPanelDecoder.WideLanes + lane);
}

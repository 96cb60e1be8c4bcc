using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Up to 256 steps of a panel of integers as <see cref="IntegerTile"/> reads them: unpacked once, in the first cache, for all rows.
/// <code>
/// codes    [steps / 4][64 lanes] of four signed bytes, less the code that stands for zero
/// bases    [groups][64]          what sums of products with raised activations start from
/// scales   [groups][64]          floats
/// offsets  [groups][64]          floats, where there are any
/// </code>
/// </summary>
internal readonly unsafe struct UnpackedPanel<TP> where TP : struct, IIntegerPanels
{
    /// <summary>Steps at most; a multiple of all blocks.</summary>
    public const int Steps = 256;

    const int Lanes = IPanelDecoder.WideLanes;

    /// <summary>Floats that it takes.</summary>
    public static int Room => Lanes * (Steps / 4 + 3 * Groups);

    static int Groups => Steps / TP.GroupSteps;

    public readonly sbyte* Codes;
    public readonly int* Bases;
    public readonly float* Scales, Offsets;

    /// <summary>Over <see cref="Room"/> floats.</summary>
    public UnpackedPanel(float* room)
    {
        Codes = (sbyte*)room;
        Bases = (int*)room + Lanes * Steps / 4;
        Scales = room + Lanes * (Steps / 4 + Groups);
        Offsets = Scales + Lanes * Groups;
    }

    /// <summary>Unpacks blocks one behind another that have <paramref name="steps"/> steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<TB, TI, TL, TV>(byte* block, int steps) where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
    {
        int slice = TP.BlockBytes / (TP.BlockSteps / TP.GroupSteps);
        TI zero = TB.Fill((byte)TP.Zero);
        for (int start = 0; start < steps; start += TP.BlockSteps, block += TP.BlockBytes)
        {
            for (int group = 0; group < TP.BlockSteps / TP.GroupSteps; group++)
            {
                int first = start + group * TP.GroupSteps, at = first / TP.GroupSteps * Lanes;
                Prefetching.Run(block + group * slice, slice);
                TI shift = TB.Fill32(TP.Shift(group));
                for (int four = 0; four < TP.GroupSteps / 4; four++)
                    for (int lane = 0; lane < Lanes; lane += TL.Count)
                    {
                        TI codes = TP.IsParted(group) ? TP.PartedCodes<TB, TI, TV>(block, group, four, lane, shift) : TP.Codes<TB, TI, TV>(block, group, four, lane, shift);
                        TB.Store(TP.Zero == 0 ? codes : TB.SubtractBytes(codes, zero), (byte*)Codes + ((first / 4 + four) * Lanes + lane) * 4);
                    }
                for (int lane = 0; lane < Lanes; lane += TL.Count)
                {
                    TL.Store(TP.Scale<TL, TV>(block, group, lane, TP.BlockScale<TL, TV>(block, lane)), Scales + at + lane);
                    if (TP.HasOffsets)
                        TL.Store(TP.Offset<TL, TV>(block, group, lane, TP.BlockOffset<TL, TV>(block, lane)), Offsets + at + lane);
                }
            }
        }
    }

    /// <summary>The bases of <paramref name="steps"/> steps, once the codes are there: minus their products with activations of zero, which are raised to 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void FillBases<TD, TI, TX, TL, TV>(int steps) where TD : struct, IDotLanes<TI, TX, TV> where TI : struct where TX : struct where TL : struct, ILanes<TV> where TV : struct
    {
        uint raised = 0x80808080;
        TX zeros = TD.Broadcast(&raised);
        for (int group = 0; group < steps / TP.GroupSteps; group++)
            for (int lane = 0; lane < Lanes; lane += TL.Count)
            {
                TI sum = default;
                sbyte* codes = Codes + (group * TP.GroupSteps / 4 * Lanes + lane) * 4;
                for (int four = 0; four < TP.GroupSteps / 4; four++, codes += 4 * Lanes)
                    sum = TD.Dot(sum, zeros, TD.Load(codes));
                TD.Store(TD.Negate(sum), Bases + group * Lanes + lane);
            }
    }
}

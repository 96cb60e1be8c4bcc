using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>Gives the product's loops packed panels: float32 where they lie, others decoded into scratch, 32 columns of a block at a time.</summary>
internal unsafe struct DecodedPanels<TDecoder>(PackedPanels<TDecoder> panels, int firstColumn, int columns) : IRightPanels where TDecoder : struct, IPanelDecoder
{
    const int Columns = MicroKernel.PanelColumns;

    int blockColumn, blockStep, blockSteps;
    float* decoded;

    public void Begin(int column, int columns, int step, int steps)
    {
        (blockColumn, blockStep, blockSteps) = (column, step, steps);
        if (typeof(TDecoder) != typeof(Float32Panels))
            decoded = Scratch.Rent(ScratchSlot.Right, 2 * Columns * steps);
    }

    public readonly void Get(int column, out float* first, out float* second)
    {
        column += blockColumn;
        bool pair = column + Columns < columns;
        if (typeof(TDecoder) == typeof(Float32Panels))
        {
            first = (float*)panels.At(firstColumn + column, out _) + (nint)blockStep * Columns;
            second = pair ? (float*)panels.At(firstColumn + column + Columns, out _) + (nint)blockStep * Columns : first;
            return;
        }
        first = decoded;
        second = pair ? decoded + Columns * blockSteps : decoded;
        Decode(column, first);
        if (pair)
            Decode(column + Columns, second);
    }

    readonly void Decode(int column, float* to)
    {
        byte* panel = panels.At(firstColumn + column, out int lane);
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Decode<Lanes512, Vector512<float>>(panel, lane, blockStep, blockSteps, to);
                break;
            case SimdLevel.Vector256:
                Decode<Lanes256, Vector256<float>>(panel, lane, blockStep, blockSteps, to);
                break;
            case SimdLevel.Vector128:
                Decode<Lanes128, Vector128<float>>(panel, lane, blockStep, blockSteps, to);
                break;
            default:
                Decode<Lanes1, float>(panel, lane, blockStep, blockSteps, to);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Decode<TL, TV>(byte* panel, int firstLane, int firstStep, int steps, float* to) where TL : struct, ILanes<TV> where TV : struct
    {
        int inBlock = firstStep % TDecoder.BlockSteps;
        byte* block = panel + (nint)(firstStep / TDecoder.BlockSteps) * TDecoder.BlockBytes;
        while (steps > 0)
        {
            int group = inBlock / TDecoder.GroupSteps, end = Math.Min((group + 1) * TDecoder.GroupSteps, inBlock + steps);
            for (int lane = firstLane; lane < firstLane + Columns; lane += TL.Count)
            {
                TV scale = TDecoder.Scale<TL, TV>(block, group, lane, TDecoder.BlockScale<TL, TV>(block, lane));
                TV offset = TDecoder.Offset<TL, TV>(block, group, lane, TDecoder.BlockOffset<TL, TV>(block, lane));
                for (int step = inBlock; step < end; step++)
                    TL.Store(TDecoder.Load<TL, TV>(block, step, lane, scale, offset), to + (step - inBlock) * Columns + lane - firstLane);
            }
            steps -= end - inBlock;
            to += (end - inBlock) * Columns;
            inBlock = end;
            if (inBlock == TDecoder.BlockSteps)
            {
                block += TDecoder.BlockBytes;
                inBlock = 0;
            }
        }
    }
}

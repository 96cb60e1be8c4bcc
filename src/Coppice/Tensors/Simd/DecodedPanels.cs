using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>Gives the product's loops packed panels: float32 where they lie, others decoded into scratch, 32 columns of a block at a time.</summary>
internal unsafe struct DecodedPanels<TDecoder>(byte* panels, int panelBytes, int columns) : IRightPanels where TDecoder : struct, IPanelDecoder
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
        byte* panel = panels + (nint)(column / Columns) * panelBytes;
        bool pair = column + Columns < columns;
        if (typeof(TDecoder) == typeof(Float32Panels))
        {
            first = (float*)panel + (nint)blockStep * Columns;
            second = pair ? (float*)(panel + panelBytes) + (nint)blockStep * Columns : first;
            return;
        }
        first = decoded;
        second = pair ? decoded + Columns * blockSteps : decoded;
        Decode(panel, first);
        if (pair)
            Decode(panel + panelBytes, second);
    }

    readonly void Decode(byte* panel, float* to)
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Decode<Lanes512, Vector512<float>>(panel, blockStep, blockSteps, to);
                break;
            case SimdLevel.Vector256:
                Decode<Lanes256, Vector256<float>>(panel, blockStep, blockSteps, to);
                break;
            case SimdLevel.Vector128:
                Decode<Lanes128, Vector128<float>>(panel, blockStep, blockSteps, to);
                break;
            default:
                Decode<Lanes1, float>(panel, blockStep, blockSteps, to);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Decode<TL, TV>(byte* panel, int firstStep, int steps, float* to) where TL : struct, ILanes<TV> where TV : struct
    {
        int inBlock = firstStep % TDecoder.BlockSteps;
        byte* block = panel + (nint)(firstStep / TDecoder.BlockSteps) * TDecoder.BlockBytes;
        while (steps > 0)
        {
            int group = inBlock / TDecoder.GroupSteps, end = Math.Min((group + 1) * TDecoder.GroupSteps, inBlock + steps);
            for (int lane = 0; lane < Columns; lane += TL.Count)
            {
                TV scale = TDecoder.Scale<TL, TV>(block, group, lane), offset = TDecoder.Offset<TL, TV>(block, group, lane);
                for (int step = inBlock; step < end; step++)
                    TL.Store(TDecoder.Load<TL, TV>(block, step, lane, scale, offset), to + (step - inBlock) * Columns + lane);
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

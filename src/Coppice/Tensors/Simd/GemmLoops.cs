using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>Where the product's loops get their right operand from, 32 columns at a time.</summary>
internal unsafe interface IRightPanels
{
    /// <summary>Makes a block of columns and inner steps ready.</summary>
    void Begin(int column, int columns, int step, int steps);

    /// <summary>Two panels [steps][16] of the block for 32 columns, counted from the block's first; where only one is left both are the same.</summary>
    void Get(int column, out float* first, out float* second);
}

/// <summary>Packs each block of a dense operand when the loops reach it.</summary>
internal unsafe struct PackedOnTheFly(Operand operand) : IRightPanels
{
    float* panels;
    int panelLength;
    int panelCount;

    public void Begin(int column, int columns, int step, int steps)
    {
        panelLength = steps * MicroKernel.PanelColumns;
        panelCount = (columns + MicroKernel.PanelColumns - 1) / MicroKernel.PanelColumns;
        panels = Scratch.Rent(ScratchSlot.Right, panelCount * panelLength);
        operand.From(column, step).Pack(columns, steps, MicroKernel.PanelColumns, panels);
    }

    public readonly void Get(int column, out float* first, out float* second)
    {
        int panel = column / MicroKernel.PanelColumns;
        first = panels + (nint)panel * panelLength;
        second = panel + 1 < panelCount ? first + panelLength : first;
    }
}

/// <summary>The loops around the micro-kernel, for one thread.</summary>
internal static unsafe class GemmLoops
{
    // 192 rows x 512 steps of the left operand (384 KB) stay in the second cache, and the 32 columns of the right that they meet (64 KB) in the first
    // two: what the kernel reads in order arrives in time. Fewer, longer runs of the inner dimension write C less often.
    const int InnerBlock = 512, RowBlock = 192, ColumnBlock = 2048, TileColumns = 2 * MicroKernel.PanelColumns;

    /// <summary>C[m, n] = or += left[m, k] right[k, n].</summary>
    public static void Run<TRight>(ref TRight right, Operand left, float* c, int ldc, int m, int n, int k, Accumulate mode)
        where TRight : struct, IRightPanels
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Run<TRight, Lanes512, Vector512<float>>(ref right, left, c, ldc, m, n, k, mode);
                break;
            case SimdLevel.Vector256:
                Run<TRight, Lanes256, Vector256<float>>(ref right, left, c, ldc, m, n, k, mode);
                break;
            case SimdLevel.Vector128:
                Run<TRight, Lanes128, Vector128<float>>(ref right, left, c, ldc, m, n, k, mode);
                break;
            default:
                Run<TRight, Lanes1, float>(ref right, left, c, ldc, m, n, k, mode);
                break;
        }
    }

    [SkipLocalsInit]
    static void Run<TRight, TL, TV>(ref TRight right, Operand left, float* c, int ldc, int m, int n, int k, Accumulate mode)
        where TRight : struct, IRightPanels where TL : struct, ILanes<TV> where TV : struct
    {
        if (k == 0 && mode == Accumulate.Overwrite)
        {
            for (int row = 0; row < m; row++)
                new Span<float>(c + (nint)row * ldc, n).Clear();
        }

        float* edge = stackalloc float[MicroKernel.PanelRows * TileColumns];
        for (int column = 0; column < n; column += ColumnBlock)
        {
            int columns = Math.Min(ColumnBlock, n - column);
            for (int step = 0, steps; step < k; step += steps)
            {
                // Runs of one length, rather than a short one at the end.
                int runs = (k - step + InnerBlock - 1) / InnerBlock;
                steps = (k - step + runs - 1) / runs;
                var blockMode = step == 0 ? mode : Accumulate.Add;
                right.Begin(column, columns, step, steps);
                for (int row = 0; row < m; row += RowBlock)
                {
                    int rows = Math.Min(RowBlock, m - row);
                    int panels = (rows + MicroKernel.PanelRows - 1) / MicroKernel.PanelRows;
                    float* packed = Scratch.Rent(ScratchSlot.Left, panels * MicroKernel.PanelRows * steps);
                    left.From(row, step).Pack(rows, steps, MicroKernel.PanelRows, packed);
                    Block<TRight, TL, TV>(ref right, packed, c + (nint)row * ldc + column, ldc, rows, columns, steps, blockMode, edge);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Block<TRight, TL, TV>(ref TRight right, float* left, float* c, int ldc, int rows, int columns, int steps, Accumulate mode, float* edge)
        where TRight : struct, IRightPanels where TL : struct, ILanes<TV> where TV : struct
    {
        for (int j = 0; j < columns; j += TileColumns)
        {
            right.Get(j, out float* first, out float* second);
            int width = Math.Min(TileColumns, columns - j);
            float* panel = left;
            for (int i = 0; i < rows; i += MicroKernel.PanelRows, panel += (nint)steps * MicroKernel.PanelRows)
            {
                int height = Math.Min(MicroKernel.PanelRows, rows - i);
                float* tile = c + (nint)i * ldc + j;
                if (width == TileColumns && height is MicroKernel.PanelRows or MicroKernel.HalfRows)
                {
                    // The tile below, before the kernel gets to it: its part of C is what the caches do not hold.
                    for (int below = 0; below < Math.Min(MicroKernel.PanelRows, rows - i - MicroKernel.PanelRows); below++)
                        Prefetch(tile + (nint)(MicroKernel.PanelRows + below) * ldc);
                    MicroKernel.Tile<TL, TV>(steps, panel, first, second, tile, tile + MicroKernel.PanelColumns, ldc, height, mode);
                    continue;
                }

                // A tile that sticks out of C is computed beside it.
                if (mode == Accumulate.Add)
                    Copy(tile, ldc, edge, TileColumns, height, width);
                MicroKernel.Tile<TL, TV>(steps, panel, first, second, edge, edge + MicroKernel.PanelColumns, TileColumns, height, mode);
                Copy(edge, TileColumns, tile, ldc, height, width);
            }
        }
    }

    // The two or three cache lines of a row of a tile.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Prefetch(float* row)
    {
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch0(row);
        Sse.Prefetch0(row + MicroKernel.PanelColumns);
        Sse.Prefetch0(row + TileColumns - 1);
    }

    static void Copy(float* source, int sourceStride, float* destination, int stride, int rows, int columns)
    {
        for (int row = 0; row < rows; row++)
            new ReadOnlySpan<float>(source + (nint)row * sourceStride, columns).CopyTo(new Span<float>(destination + (nint)row * stride, columns));
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>One row times packed panels: each weight is read and decoded once. Four vectors of outputs at a time hide the latency of the additions.</summary>
internal static unsafe class RowProduct
{
    const int Columns = MicroKernel.PanelColumns, Vectors = 4;

    /// <summary>y [outputs] = x [inputs] times the panels.</summary>
    public static void Run<TDecoder>(byte* panels, int panelBytes, int outputs, int inputs, float* x, float* y) where TDecoder : struct, IPanelDecoder
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Run<TDecoder, Lanes512, Vector512<float>>(panels, panelBytes, outputs, inputs, x, y);
                break;
            case SimdLevel.Vector256:
                Run<TDecoder, Lanes256, Vector256<float>>(panels, panelBytes, outputs, inputs, x, y);
                break;
            case SimdLevel.Vector128:
                Run<TDecoder, Lanes128, Vector128<float>>(panels, panelBytes, outputs, inputs, x, y);
                break;
            default:
                Run<TDecoder, Lanes1, float>(panels, panelBytes, outputs, inputs, x, y);
                break;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Run<TDecoder, TL, TV>(byte* panels, int panelBytes, int outputs, int inputs, float* x, float* y)
        where TDecoder : struct, IPanelDecoder where TL : struct, ILanes<TV> where TV : struct
    {
        float* result = stackalloc float[Vectors * Columns];
        for (int column = 0; column < outputs; column += Vectors * TL.Count)
        {
            // Vector i holds the outputs from column + i * TL.Count on; one past the end repeats the first and is dropped.
            int c1 = Inside(column + TL.Count, column, outputs), c2 = Inside(column + 2 * TL.Count, column, outputs), c3 = Inside(column + 3 * TL.Count, column, outputs);
            byte* p0 = panels + (nint)(column / Columns) * panelBytes, p1 = panels + (nint)(c1 / Columns) * panelBytes;
            byte* p2 = panels + (nint)(c2 / Columns) * panelBytes, p3 = panels + (nint)(c3 / Columns) * panelBytes;
            int l0 = column % Columns, l1 = c1 % Columns, l2 = c2 % Columns, l3 = c3 % Columns;
            TV a = default, b = default, c = default, d = default;
            float* from = x;
            for (int left = inputs; left > 0; left -= TDecoder.BlockSteps)
            {
                for (int group = 0; group * TDecoder.GroupSteps < Math.Min(left, TDecoder.BlockSteps); group++)
                {
                    TV s0 = TDecoder.Scale<TL, TV>(p0, group, l0), s1 = TDecoder.Scale<TL, TV>(p1, group, l1);
                    TV s2 = TDecoder.Scale<TL, TV>(p2, group, l2), s3 = TDecoder.Scale<TL, TV>(p3, group, l3);
                    TV o0 = TDecoder.Offset<TL, TV>(p0, group, l0), o1 = TDecoder.Offset<TL, TV>(p1, group, l1);
                    TV o2 = TDecoder.Offset<TL, TV>(p2, group, l2), o3 = TDecoder.Offset<TL, TV>(p3, group, l3);
                    int first = group * TDecoder.GroupSteps, end = Math.Min(left, first + TDecoder.GroupSteps);
                    for (int step = first; step < end; step++)
                    {
                        TV value = TL.Broadcast(*from++);
                        a = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p0, step, l0, s0, o0), a);
                        b = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p1, step, l1, s1, o1), b);
                        c = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p2, step, l2, s2, o2), c);
                        d = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p3, step, l3, s3, o3), d);
                    }
                }
                p0 += TDecoder.BlockBytes;
                p1 += TDecoder.BlockBytes;
                p2 += TDecoder.BlockBytes;
                p3 += TDecoder.BlockBytes;
            }
            TL.Store(a, result);
            TL.Store(b, result + TL.Count);
            TL.Store(c, result + 2 * TL.Count);
            TL.Store(d, result + 3 * TL.Count);
            int count = Math.Min(Vectors * TL.Count, outputs - column);
            new ReadOnlySpan<float>(result, count).CopyTo(new Span<float>(y + column, count));
        }
    }

    static int Inside(int column, int otherwise, int outputs) => column < outputs ? column : otherwise;
}

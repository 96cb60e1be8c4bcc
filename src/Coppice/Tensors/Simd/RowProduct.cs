using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>One row times packed panels: each weight is read and decoded once. Four vectors of outputs at a time hide the latency of the additions.</summary>
internal static unsafe class RowProduct
{
    const int Columns = MicroKernel.PanelColumns, Vectors = 4;

    /// <summary>y [outputs] = x [inputs] times the outputs of the panels from <paramref name="first"/> on.</summary>
    public static void Run<TDecoder>(PackedPanels<TDecoder> panels, int first, int outputs, float* x, float* y) where TDecoder : struct, IPanelDecoder
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Run<TDecoder, Lanes512, Vector512<float>>(panels, first, outputs, x, y);
                break;
            case SimdLevel.Vector256:
                Run<TDecoder, Lanes256, Vector256<float>>(panels, first, outputs, x, y);
                break;
            case SimdLevel.Vector128:
                Run<TDecoder, Lanes128, Vector128<float>>(panels, first, outputs, x, y);
                break;
            default:
                Run<TDecoder, Lanes1, float>(panels, first, outputs, x, y);
                break;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Run<TDecoder, TL, TV>(PackedPanels<TDecoder> panels, int firstOutput, int outputs, float* x, float* y)
        where TDecoder : struct, IPanelDecoder where TL : struct, ILanes<TV> where TV : struct
    {
        float* result = stackalloc float[Vectors * Columns];
        for (int column = 0; column < outputs; column += Vectors * TL.Count)
        {
            // Vector i holds the outputs from column + i * TL.Count on; one past the end repeats the first and is dropped.
            int c1 = Inside(column + TL.Count, column, outputs), c2 = Inside(column + 2 * TL.Count, column, outputs), c3 = Inside(column + 3 * TL.Count, column, outputs);
            byte* p0 = panels.At(firstOutput + column, out int l0), p1 = panels.At(firstOutput + c1, out int l1);
            byte* p2 = panels.At(firstOutput + c2, out int l2), p3 = panels.At(firstOutput + c3, out int l3);
            TV a = default, b = default, c = default, d = default;
            float* from = x;
            for (int left = panels.Inputs; left > 0; left -= TDecoder.BlockSteps)
            {
                for (int group = 0; group * TDecoder.GroupSteps < Math.Min(left, TDecoder.BlockSteps); group++)
                {
                    TV s0 = Scale(p0, group, l0), s1 = Scale(p1, group, l1);
                    TV s2 = Scale(p2, group, l2), s3 = Scale(p3, group, l3);
                    TV o0 = Offset(p0, group, l0), o1 = Offset(p1, group, l1);
                    TV o2 = Offset(p2, group, l2), o3 = Offset(p3, group, l3);
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

        static TV Scale(byte* block, int group, int lane) => TDecoder.Scale<TL, TV>(block, group, lane, TDecoder.BlockScale<TL, TV>(block, lane));
        static TV Offset(byte* block, int group, int lane) => TDecoder.Offset<TL, TV>(block, group, lane, TDecoder.BlockOffset<TL, TV>(block, lane));
    }

    static int Inside(int column, int otherwise, int outputs) => column < outputs ? column : otherwise;
}

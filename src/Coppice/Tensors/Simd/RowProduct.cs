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
            byte* p = panels.At(firstOutput + column, out _);
            nint d1 = FourVectors<TDecoder, TL, TV>.Behind(1, outputs - column, panels.PanelBytes), d2 = FourVectors<TDecoder, TL, TV>.Behind(2, outputs - column, panels.PanelBytes), d3 = FourVectors<TDecoder, TL, TV>.Behind(3, outputs - column, panels.PanelBytes);
            int l0 = FourVectors<TDecoder, TL, TV>.Lane(0, firstOutput + column), l1 = FourVectors<TDecoder, TL, TV>.Lane(1, firstOutput + column);
            int l2 = FourVectors<TDecoder, TL, TV>.Lane(2, firstOutput + column), l3 = FourVectors<TDecoder, TL, TV>.Lane(3, firstOutput + column);
            TV a = default, b = default, c = default, d = default;
            float* from = x;
            for (int left = panels.Inputs; left > 0; left -= TDecoder.BlockSteps, p += TDecoder.BlockBytes)
            {
                for (int group = 0; group * TDecoder.GroupSteps < Math.Min(left, TDecoder.BlockSteps); group++)
                {
                    FourVectors<TDecoder, TL, TV>.Prefetch(p, group, l0, d1, d2, d3);
                    TV s0 = Scale(p, group, l0), s1 = Scale(p + d1, group, l1);
                    TV s2 = Scale(p + d2, group, l2), s3 = Scale(p + d3, group, l3);
                    TV o0 = Offset(p, group, l0), o1 = Offset(p + d1, group, l1);
                    TV o2 = Offset(p + d2, group, l2), o3 = Offset(p + d3, group, l3);
                    int first = group * TDecoder.GroupSteps, end = Math.Min(left, first + TDecoder.GroupSteps);
                    for (int step = first; step < end; step++)
                    {
                        TV value = TL.Broadcast(*from++);
                        a = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p, step, l0, s0, o0), a);
                        b = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p + d1, step, l1, s1, o1), b);
                        c = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p + d2, step, l2, s2, o2), c);
                        d = TL.MultiplyAdd(value, TDecoder.Load<TL, TV>(p + d3, step, l3, s3, o3), d);
                    }
                }
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
}

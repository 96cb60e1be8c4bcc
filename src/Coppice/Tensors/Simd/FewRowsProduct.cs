using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>
/// A few rows times packed panels: each weight is read in order and decoded once for two or four rows, straight into the register that it is multiplied
/// in. Four vectors of outputs side by side, as for one row; every sum takes its products in the order of the inner dimension.
/// </summary>
internal static unsafe class FewRowsProduct
{
    const int Vectors = 4, MostRows = 4, ResultStride = Vectors * MicroKernel.PanelColumns;

    /// <summary>Whether rows are few enough; more are better off with a block of weights decoded into memory once, or packed there already.</summary>
    public static bool Pays<TDecoder>(int rows) where TDecoder : struct, IPanelDecoder => rows <= (typeof(TDecoder) == typeof(Float32Panels) ? 8 : 16);

    /// <summary>y [rows][outputs] = x [rows, inputs] times the outputs of the panels from <paramref name="first"/> on; rows of y lie <paramref name="stride"/> floats apart.</summary>
    public static void Run<TDecoder>(PackedPanels<TDecoder> panels, int first, int outputs, float* x, int rows, float* y, int stride) where TDecoder : struct, IPanelDecoder
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Run<TDecoder, Lanes512, Vector512<float>>(panels, first, outputs, x, rows, y, stride);
                break;
            case SimdLevel.Vector256:
                Run<TDecoder, Lanes256, Vector256<float>>(panels, first, outputs, x, rows, y, stride);
                break;
            case SimdLevel.Vector128:
                Run<TDecoder, Lanes128, Vector128<float>>(panels, first, outputs, x, rows, y, stride);
                break;
            default:
                Run<TDecoder, Lanes1, float>(panels, first, outputs, x, rows, y, stride);
                break;
        }
    }

    [SkipLocalsInit]
    static void Run<TDecoder, TL, TV>(PackedPanels<TDecoder> panels, int firstOutput, int outputs, float* x, int rows, float* y, int stride)
        where TDecoder : struct, IPanelDecoder where TL : struct, ILanes<TV> where TV : struct
    {
        float* result = stackalloc float[MostRows * ResultStride];
        for (int column = 0; column < outputs; column += Vectors * TL.Count)
        {
            int count = Math.Min(Vectors * TL.Count, outputs - column);
            for (int done = 0; done < rows;)
            {
                // Four rows want 16 registers for their sums alone. The last tile may reach back over rows that are done: the same numbers again.
                int height = TL.Count == MicroKernel.PanelColumns && rows > 3 && rows - done > 2 ? 4 : 2, row = Math.Min(done, rows - height);
                float* from = x + (nint)row * panels.Inputs;
                if (height == 4)
                    Tile<FourRows, TDecoder, TL, TV>(panels, firstOutput + column, count, done == 0, from, result);
                else
                    Tile<TwoRows, TDecoder, TL, TV>(panels, firstOutput + column, count, done == 0, from, result);
                for (int i = 0; i < height; i++)
                    new ReadOnlySpan<float>(result + i * ResultStride, count).CopyTo(new Span<float>(y + (nint)(row + i) * stride + column, count));
                done = row + height;
            }
        }
    }

    // s{row}{vector}; rows past TR.Rows vanish when this is compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile<TR, TDecoder, TL, TV>(PackedPanels<TDecoder> panels, int output, int outputs, bool isFirst, float* x, float* result)
        where TR : struct, IRowCount where TDecoder : struct, IPanelDecoder where TL : struct, ILanes<TV> where TV : struct
    {
        int inputs = panels.Inputs;
        byte* p = panels.At(output, out _);
        nint d1 = FourVectors<TDecoder, TL, TV>.Behind(1, outputs, panels.PanelBytes), d2 = FourVectors<TDecoder, TL, TV>.Behind(2, outputs, panels.PanelBytes), d3 = FourVectors<TDecoder, TL, TV>.Behind(3, outputs, panels.PanelBytes);
        int l0 = FourVectors<TDecoder, TL, TV>.Lane(0, output), l1 = FourVectors<TDecoder, TL, TV>.Lane(1, output);
        int l2 = FourVectors<TDecoder, TL, TV>.Lane(2, output), l3 = FourVectors<TDecoder, TL, TV>.Lane(3, output);
        TV s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
        TV s20 = default, s21 = default, s22 = default, s23 = default, s30 = default, s31 = default, s32 = default, s33 = default;
        float* x1 = x + inputs, x2 = x1 + (TR.Rows > 2 ? inputs : 0), x3 = x2 + (TR.Rows > 2 ? inputs : 0);
        for (int left = inputs; left > 0; left -= TDecoder.BlockSteps, p += TDecoder.BlockBytes)
        {
            for (int group = 0; group * TDecoder.GroupSteps < Math.Min(left, TDecoder.BlockSteps); group++)
            {
                if (isFirst)
                    FourVectors<TDecoder, TL, TV>.Prefetch(p, group, l0, d1, d2, d3);
                TV scale0 = Scale(p, group, l0), scale1 = Scale(p + d1, group, l1), scale2 = Scale(p + d2, group, l2), scale3 = Scale(p + d3, group, l3);
                TV offset0 = Offset(p, group, l0), offset1 = Offset(p + d1, group, l1), offset2 = Offset(p + d2, group, l2), offset3 = Offset(p + d3, group, l3);
                int first = group * TDecoder.GroupSteps, end = Math.Min(left, first + TDecoder.GroupSteps), i = inputs - left + first;
                for (int step = first; step < end; step++, i++)
                {
                    TV w0 = TDecoder.Load<TL, TV>(p, step, l0, scale0, offset0), w1 = TDecoder.Load<TL, TV>(p + d1, step, l1, scale1, offset1);
                    TV w2 = TDecoder.Load<TL, TV>(p + d2, step, l2, scale2, offset2), w3 = TDecoder.Load<TL, TV>(p + d3, step, l3, scale3, offset3);
                    TV v = TL.Broadcast(x[i]);
                    s00 = TL.MultiplyAdd(v, w0, s00); s01 = TL.MultiplyAdd(v, w1, s01); s02 = TL.MultiplyAdd(v, w2, s02); s03 = TL.MultiplyAdd(v, w3, s03);
                    v = TL.Broadcast(x1[i]);
                    s10 = TL.MultiplyAdd(v, w0, s10); s11 = TL.MultiplyAdd(v, w1, s11); s12 = TL.MultiplyAdd(v, w2, s12); s13 = TL.MultiplyAdd(v, w3, s13);
                    if (TR.Rows > 2)
                    {
                        v = TL.Broadcast(x2[i]);
                        s20 = TL.MultiplyAdd(v, w0, s20); s21 = TL.MultiplyAdd(v, w1, s21); s22 = TL.MultiplyAdd(v, w2, s22); s23 = TL.MultiplyAdd(v, w3, s23);
                        v = TL.Broadcast(x3[i]);
                        s30 = TL.MultiplyAdd(v, w0, s30); s31 = TL.MultiplyAdd(v, w1, s31); s32 = TL.MultiplyAdd(v, w2, s32); s33 = TL.MultiplyAdd(v, w3, s33);
                    }
                }
            }
        }

        Store(s00, s01, s02, s03, result);
        Store(s10, s11, s12, s13, result + ResultStride);
        if (TR.Rows > 2)
        {
            Store(s20, s21, s22, s23, result + 2 * ResultStride);
            Store(s30, s31, s32, s33, result + 3 * ResultStride);
        }

        static TV Scale(byte* block, int group, int lane) => TDecoder.Scale<TL, TV>(block, group, lane, TDecoder.BlockScale<TL, TV>(block, lane));
        static TV Offset(byte* block, int group, int lane) => TDecoder.Offset<TL, TV>(block, group, lane, TDecoder.BlockOffset<TL, TV>(block, lane));

        static void Store(TV a, TV b, TV c, TV d, float* to)
        {
            TL.Store(a, to);
            TL.Store(b, to + TL.Count);
            TL.Store(c, to + 2 * TL.Count);
            TL.Store(d, to + 3 * TL.Count);
        }
    }
}

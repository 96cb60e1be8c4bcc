using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Rearranges an operand into panels [k][width], so that the micro-kernel reads both operands in order. Panels that stick out of the matrix are
/// filled with zeros.
/// </summary>
internal static unsafe class Packing
{
    const int StepBlock = 8;

    /// <summary>Packs rows of a matrix whose inner dimension runs along its rows: panel[step, i] = source[i, step].</summary>
    /// <param name="source">[count, k], rows <paramref name="stride"/> floats apart.</param>
    /// <param name="stride">Floats from one row to the next.</param>
    /// <param name="count">Rows.</param>
    /// <param name="k">Inner dimension.</param>
    /// <param name="width">Rows of a panel, a multiple of 4.</param>
    /// <param name="panels">ceil(count / width) panels of [k][width].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows(float* source, int stride, int count, int k, int width, float* panels)
    {
        for (; count > 0; count -= width, source += (nint)width * stride, panels += (nint)k * width)
            for (int i = 0; i < width; i += 4)
                FourRows(source + (nint)i * stride, stride, Math.Clamp(count - i, 0, 4), k, width, panels + i);
    }

    /// <summary>Packs columns of a matrix whose inner dimension runs down its columns: panel[step, i] = source[step, i].</summary>
    /// <inheritdoc cref="Rows"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Columns(float* source, int stride, int count, int k, int width, float* panels)
    {
        // Some steps at a time across all panels: rows of the source are read in order and whole, and panels are written in runs.
        for (int step = 0; step < k; step += StepBlock, source += (nint)StepBlock * stride)
        {
            int steps = Math.Min(StepBlock, k - step);
            float* to = panels + (nint)step * width;
            for (int column = 0; column < count; column += width, to += (nint)k * width)
                Run(source + column, stride, Math.Min(width, count - column), steps, width, to);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Run(float* row, int stride, int filled, int steps, int width, float* to)
    {
        for (; steps > 0; steps--, row += stride, to += width)
        {
            if (filled < width)
            {
                for (int i = 0; i < width; i++)
                    to[i] = i < filled ? row[i] : 0;
            }
            else if (width == MicroKernel.PanelColumns)
            {
                Vector512.Store(Vector512.Load(row), to);
            }
            else
            {
                for (int i = 0; i < width; i += 4)
                    Vector128.Store(Vector128.Load(row + i), to + i);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void FourRows(float* source, int stride, int rows, int k, int width, float* to)
    {
        int step = 0;
        if (rows == 4)
        {
            float* r0 = source, r1 = r0 + stride, r2 = r1 + stride, r3 = r2 + stride;
            for (; step <= k - 4; step += 4, to += 4 * width)
            {
                var (s0, s1, s2, s3) = Transposing.FourByFour(Vector128.Load(r0 + step), Vector128.Load(r1 + step), Vector128.Load(r2 + step), Vector128.Load(r3 + step));
                s0.Store(to);
                s1.Store(to + width);
                s2.Store(to + 2 * width);
                s3.Store(to + 3 * width);
            }
        }
        for (; step < k; step++, to += width)
            for (int i = 0; i < 4; i++)
                to[i] = i < rows ? source[(nint)i * stride + step] : 0;
    }
}

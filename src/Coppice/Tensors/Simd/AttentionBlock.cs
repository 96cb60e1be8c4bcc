using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>
/// One block of up to 32 query rows against all keys they see. Scores and weights lie with a query in each lane, [key][32]: so every product takes
/// them as they are, from either side, and maximum and sum need no step across lanes.
/// </summary>
internal static unsafe class AttentionBlock
{
    /// <summary>Query rows of a block.</summary>
    public const int Rows = StridedTile.Columns;

    /// <summary>Query rows of a vector, at most.</summary>
    public const int Lane = MicroKernel.PanelColumns;

    /// <summary>Keys, or numbers of a head, rounded up to whole blocks.</summary>
    public static int Padded(int count) => (count + Rows - 1) / Rows * Rows;

    /// <summary>Floats that <see cref="Widened"/> needs: none where a head is whole vectors wide.</summary>
    public static int RoomToWiden(int rows, int width) => width % Rows == 0 ? 0 : rows * Padded(width);

    /// <summary>Rows that can be read in whole vectors: themselves, or a copy in <paramref name="room"/> with zeros beside.</summary>
    public static float* Widened(float* source, ref int stride, int rows, int width, float* room)
    {
        if (width % Rows == 0)
            return source;
        int padded = Padded(width);
        for (int row = 0; row < rows; row++)
        {
            new ReadOnlySpan<float>(source + (nint)row * stride, width).CopyTo(new Span<float>(room + row * padded, width));
            new Span<float>(room + row * padded + width, padded - width).Clear();
        }
        stride = padded;
        return room;
    }

    /// <summary>Scores [keys][32] = keys x queries, both turned: [width][32], 32 keys a panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scores<TL, TV>(float* keysTurned, float* queriesTurned, int keys, int width, float* scores) where TL : struct, ILanes<TV> where TV : struct
    {
        for (int key = 0; key < keys; key += StridedTile.Rows)
        {
            float* left = keysTurned + (nint)(key / Rows) * Rows * width + key % Rows;
            StridedTile.Multiply<RowsInLanes, TL, TV>(width, left, queriesTurned, Rows, scores + (nint)key * Rows, Rows, Accumulate.Overwrite);
        }
    }

    /// <summary>
    /// Rows of queries = or += weights^T x rows of keys, [rows, width] from [keys][32] and [keys, width]. Row r sees keys below <paramref name="visible"/> + r,
    /// at most <paramref name="keys"/>; the rest have weight zero: eight rows end together.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GatherKeys<TL, TV>(
        float* weights, float* source, int sourceStride, int rows, int visible, int keys, int width, Accumulate mode, float* destination, int stride, float* edge)
        where TL : struct, ILanes<TV> where TV : struct
    {
        for (int row = 0; row < rows; row += StridedTile.Rows)
            for (int column = 0; column < width; column += StridedTile.Columns)
                StridedTile.Multiply<RowsInLanes, TL, TV>(
                    Math.Min(keys, visible + row + StridedTile.Rows - 1), weights + row, source + column, sourceStride,
                    destination + (nint)row * stride + column, stride, mode, rows - row, width - column, edge);
    }

    /// <summary>
    /// Rows of keys += weights x rows of queries, [keys, width] from [keys][32] and [rows, width]. A key is seen from row key - <paramref name="visible"/> + 1 on:
    /// eight keys begin together. The mode is that of the keys from <paramref name="fresh"/> on, which no earlier block saw.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GatherQueries<TL, TV>(
        float* weights, float* source, int sourceStride, int rows, int visible, int keys, int fresh, int width, Accumulate mode, float* destination, int stride, float* edge)
        where TL : struct, ILanes<TV> where TV : struct
    {
        for (int key = 0; key < keys; key += StridedTile.Rows)
        {
            int first = Math.Max(0, key - visible + 1);
            for (int column = 0; column < width; column += StridedTile.Columns)
                StridedTile.Multiply<StepsInLanes, TL, TV>(
                    rows - first, weights + (nint)key * Rows + first, source + (nint)first * sourceStride + column, sourceStride,
                    destination + (nint)key * stride + column, stride, key < fresh ? Accumulate.Add : mode, keys - key, width - column, edge);
        }
    }

    /// <summary>Hides from row r the keys from <paramref name="visible"/> + r on.</summary>
    public static void Mask(float* scores, int visible, int keys)
    {
        for (int key = visible; key < keys; key++)
            new Span<float>(scores + (nint)key * Rows, key - visible + 1).Fill(float.NegativeInfinity);
    }

    /// <summary>Hides from row r the keys before <paramref name="first"/> + r.</summary>
    public static void MaskBefore(float* scores, int first, int rows, int keys)
    {
        for (int key = 0; key < Math.Min(keys, first + rows - 1); key++)
        {
            int row = Math.Max(0, key - first + 1);
            new Span<float>(scores + (nint)key * Rows + row, rows - row).Fill(float.NegativeInfinity);
        }
    }

    /// <summary>Scores s [keys][32] become tanh(factor s) / factor; where asked for, with the slopes 1 - tanh^2.</summary>
    public static void Cap<TL, TV>(float* scores, int keys, float factor, float* slopes = null) where TL : struct, ILanes<TV> where TV : struct
    {
        TV inner = TL.Broadcast(factor), outer = TL.Broadcast(1 / factor), one = TL.Broadcast(1f);
        for (int i = 0; i < keys * Rows; i += TL.Count)
        {
            TV tanh = Exponential.Tanh<TL, TV>(TL.Multiply(inner, TL.Load(scores + i)));
            TL.Store(TL.Multiply(outer, tanh), scores + i);
            if (slopes is not null)
                TL.Store(TL.Subtract(one, TL.Multiply(tanh, tanh)), slopes + i);
        }
    }

    /// <summary>Asks for rows of a head before they are needed: a head's rows lie far apart, so that no hardware foresees them.</summary>
    public static void Prefetch(float* rows, int stride, int count, int width)
    {
        if (!Sse.IsSupported)
            return;
        for (int row = 0; row < count; row++)
            for (int i = 0; i < width; i += MicroKernel.PanelColumns)
                Sse.Prefetch1(rows + (nint)row * stride + i);
    }

    /// <summary>
    /// Replaces scores s by e^(scale s - m), m = scale max(s), and gives m and the sum of each lane. A sum is that of four: of the keys that are
    /// equal modulo 4, in order. Hidden keys add zeros, so that it does not depend on how many there are. Sixteen lanes; keys are <paramref name="pitch"/> floats apart.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Softmax<TL, TV>(float* scores, int keys, float scale, float* maxima, float* sums, int pitch = Lane) where TL : struct, ILanes<TV> where TV : struct
    {
        for (int lane = 0; lane < Lane; lane += TL.Count)
        {
            float* s = scores + lane, end = s + (nint)keys * pitch;
            TV max = TL.Load(s), other = max;
            float* p = s;
            for (; p <= end - 2 * pitch; p += 2 * pitch)
            {
                max = TL.Max(TL.Load(p), max);
                other = TL.Max(TL.Load(p + pitch), other);
            }
            for (; p < end; p += pitch)
                max = TL.Max(TL.Load(p), max);
            max = TL.Multiply(TL.Max(max, other), TL.Broadcast(scale));

            TV shift = TL.Subtract(default, max), factor = TL.Broadcast(scale), a = default, b = default, c = default, d = default;
            p = s;
            for (; p <= end - 4 * pitch; p += 4 * pitch)
            {
                a = TL.Add(a, Weigh<TL, TV>(p, factor, shift));
                b = TL.Add(b, Weigh<TL, TV>(p + pitch, factor, shift));
                c = TL.Add(c, Weigh<TL, TV>(p + 2 * pitch, factor, shift));
                d = TL.Add(d, Weigh<TL, TV>(p + 3 * pitch, factor, shift));
            }
            if (p < end)
                a = TL.Add(a, Weigh<TL, TV>(p, factor, shift));
            if (p + pitch < end)
                b = TL.Add(b, Weigh<TL, TV>(p + pitch, factor, shift));
            if (p + 2 * pitch < end)
                c = TL.Add(c, Weigh<TL, TV>(p + 2 * pitch, factor, shift));
            TL.Store(max, maxima + lane);
            TL.Store(TL.Add(TL.Add(a, b), TL.Add(c, d)), sums + lane);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TV Weigh<TL, TV>(float* score, TV factor, TV shift) where TL : struct, ILanes<TV> where TV : struct
    {
        TV weight = Exponential.Exp<TL, TV>(TL.MultiplyAdd(TL.Load(score), factor, shift));
        TL.Store(weight, score);
        return weight;
    }

    /// <summary>Replaces scores s by the weights p = e^(scale s - logSum), and the gradient dp of p by that of s: p (dp - dot) scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WeightGradients<TL, TV>(float* scores, float* gradients, int keys, float scale, float* logSums, float* dots)
        where TL : struct, ILanes<TV> where TV : struct
    {
        TV factor = TL.Broadcast(scale);
        for (int lane = 0; lane < Rows; lane += TL.Count)
        {
            TV shift = TL.Subtract(default, TL.Load(logSums + lane)), dot = TL.Load(dots + lane);
            float* s = scores + lane, g = gradients + lane;
            for (int key = 0; key < keys; key++, s += Rows, g += Rows)
            {
                TV weight = Weigh<TL, TV>(s, factor, shift);
                TL.Store(TL.Multiply(TL.Multiply(weight, TL.Subtract(TL.Load(g), dot)), factor), g);
            }
        }
    }

    /// <summary>Row r of <paramref name="rows"/> times factors[r], in place.</summary>
    public static void ScaleRows(float* destination, int stride, float* factors, int rows, int width)
    {
        for (int row = 0; row < rows; row++, destination += stride)
            Elementwise.Run(new ScaleOp { Y = destination, Factor = factors[row] }, 0, width);
    }

    struct ScaleOp : IElementwise
    {
        public float* Y;
        public float Factor;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TL.Load(Y + i), TL.Broadcast(Factor)), Y + i);
    }
}

using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// One block of up to 32 query rows against all keys they see. Scores and weights lie with a query in each lane, [key][16], in two panels: so the
/// products of the micro-kernel take them as they are, and maximum and sum need no step across lanes.
/// </summary>
internal static unsafe class AttentionBlock
{
    /// <summary>Query rows of a block.</summary>
    public const int Rows = 2 * Lane;

    /// <summary>Query rows of a panel.</summary>
    public const int Lane = MicroKernel.PanelColumns;

    /// <summary>Keys, or numbers of a head, rounded up to whole left panels.</summary>
    public static int Padded(int count) => (count + MicroKernel.PanelRows - 1) / MicroKernel.PanelRows * MicroKernel.PanelRows;

    /// <summary>Packs <paramref name="rows"/> query rows into two right panels [width][16], zeros where rows are missing.</summary>
    public static void PackQueries(float* queries, int stride, int rows, int width, float* panels)
    {
        Packing.Rows(queries, stride, Math.Min(rows, Lane), width, Lane, panels);
        if (rows > Lane)
            Packing.Rows(queries + (nint)Lane * stride, stride, rows - Lane, width, Lane, panels + Lane * width);
        else
            new Span<float>(panels + Lane * width, Lane * width).Clear();
    }

    /// <summary>result [outer][16] twice = left panels [k][12] x right panels [k][16] twice; panels of the left are <paramref name="pitch"/> floats apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Product<TL, TV>(float* left, int pitch, float* right, int rightPanel, int outer, int k, float* result, int resultPanel)
        where TL : struct, ILanes<TV> where TV : struct
    {
        for (int i = 0; i < outer; i += MicroKernel.PanelRows, left += pitch, result += MicroKernel.PanelRows * Lane)
            MicroKernel.Tile<TL, TV>(k, left, right, right + rightPanel, result, result + resultPanel, Lane, MicroKernel.PanelRows, Accumulate.Overwrite);
    }

    /// <summary>Hides from row r the keys from <paramref name="visible"/> + r on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Mask(float* scores, int panel, int rows, int visible, int keys)
    {
        for (int row = 0; row < rows; row++)
        {
            float* lane = scores + row / Lane * panel + row % Lane;
            for (int key = visible + row; key < keys; key++)
                lane[key * Lane] = float.NegativeInfinity;
        }
    }

    /// <summary>
    /// Replaces scores s by e^(scale s - m), m = scale max(s), and gives m and the sum of each lane. A sum is that of four: of the keys that are
    /// equal modulo 4, in order. Hidden keys add zeros, so that it does not depend on how many there are.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Softmax<TL, TV>(float* scores, int keys, float scale, float* maxima, float* sums) where TL : struct, ILanes<TV> where TV : struct
    {
        for (int lane = 0; lane < Lane; lane += TL.Count)
        {
            float* s = scores + lane, end = s + keys * Lane;
            TV max = TL.Load(s), other = max;
            float* p = s;
            for (; p <= end - 2 * Lane; p += 2 * Lane)
            {
                max = TL.Max(TL.Load(p), max);
                other = TL.Max(TL.Load(p + Lane), other);
            }
            for (; p < end; p += Lane)
                max = TL.Max(TL.Load(p), max);
            max = TL.Multiply(TL.Max(max, other), TL.Broadcast(scale));

            TV shift = TL.Subtract(default, max), factor = TL.Broadcast(scale), a = default, b = default, c = default, d = default;
            p = s;
            for (; p <= end - 4 * Lane; p += 4 * Lane)
            {
                a = TL.Add(a, Weigh<TL, TV>(p, factor, shift));
                b = TL.Add(b, Weigh<TL, TV>(p + Lane, factor, shift));
                c = TL.Add(c, Weigh<TL, TV>(p + 2 * Lane, factor, shift));
                d = TL.Add(d, Weigh<TL, TV>(p + 3 * Lane, factor, shift));
            }
            if (p < end)
                a = TL.Add(a, Weigh<TL, TV>(p, factor, shift));
            if (p + Lane < end)
                b = TL.Add(b, Weigh<TL, TV>(p + Lane, factor, shift));
            if (p + 2 * Lane < end)
                c = TL.Add(c, Weigh<TL, TV>(p + 2 * Lane, factor, shift));
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
        for (int lane = 0; lane < Lane; lane += TL.Count)
        {
            TV shift = TL.Subtract(default, TL.Load(logSums + lane)), dot = TL.Load(dots + lane);
            float* s = scores + lane, g = gradients + lane;
            for (int key = 0; key < keys; key++, s += Lane, g += Lane)
            {
                TV weight = Weigh<TL, TV>(s, factor, shift);
                TL.Store(TL.Multiply(TL.Multiply(weight, TL.Subtract(TL.Load(g), dot)), factor), g);
            }
        }
    }

    /// <summary>Writes columns [width][16] of one panel as rows, each times its lane's factor: row r of <paramref name="rows"/> = or += panel[., r] * factors[r].</summary>
    public static void WriteRows(float* panel, float* factors, int rows, int width, float* turned, Accumulate mode, float* destination, int stride)
    {
        int rowWidth = (width + 3) & ~3;
        Packing.Rows(panel, Lane, width, Lane, rowWidth, turned);
        for (int row = 0; row < rows; row++, turned += rowWidth, destination += stride)
            Elementwise.Run(new ScaleOp { X = turned, Y = destination, Factor = factors[row], Mode = mode }, 0, width);
    }

    struct ScaleOp : IElementwise
    {
        public float* X, Y;
        public float Factor;
        public Accumulate Mode;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV value = TL.Multiply(TL.Load(X + i), TL.Broadcast(Factor));
            TL.Store(Mode == Accumulate.Add ? TL.Add(TL.Load(Y + i), value) : value, Y + i);
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The best point of a codebook for some weights whose signs stand, of all points, eight side by side. Vectors are of one fixed width and nothing is summed across them, so that a block has the same bytes on every machine; of equal points the first.</summary>
static unsafe class CodebookPoints
{
    /// <summary>The point g of least sum w_i (g_i - x_i)^2.</summary>
    /// <param name="x">A point's length of numbers; below 0 where the sign that stands is not the number's.</param>
    /// <param name="weights">As many, not negative.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Nearest(Codebook book, ReadOnlySpan<float> x, ReadOnlySpan<float> weights)
    {
        Best best = Best.None;
        Vector256<float> x0 = Vector256.Create(x[0]), x1 = Vector256.Create(x[1]), x2 = Vector256.Create(x[2]), x3 = Vector256.Create(x[3]);
        Vector256<float> w0 = Vector256.Create(weights[0]), w1 = Vector256.Create(weights[1]), w2 = Vector256.Create(weights[2]), w3 = Vector256.Create(weights[3]);
        fixed (Vector256<float>* points = book.Points)
        {
            if (book.Length == 4)
            {
                for (int p = 0; p < book.Count / 8; p++)
                {
                    Vector256<float>* g = points + 4 * p;
                    best.Take(Term(Term(Term(Term(default, g[0] - x0, w0), g[1] - x1, w1), g[2] - x2, w2), g[3] - x3, w3), p);
                }
                return best.Point;
            }
            Vector256<float> x4 = Vector256.Create(x[4]), x5 = Vector256.Create(x[5]), x6 = Vector256.Create(x[6]), x7 = Vector256.Create(x[7]);
            Vector256<float> w4 = Vector256.Create(weights[4]), w5 = Vector256.Create(weights[5]), w6 = Vector256.Create(weights[6]), w7 = Vector256.Create(weights[7]);
            for (int p = 0; p < book.Count / 8; p++)
            {
                Vector256<float>* g = points + 8 * p;
                Vector256<float> half = Term(Term(Term(Term(default, g[0] - x0, w0), g[1] - x1, w1), g[2] - x2, w2), g[3] - x3, w3);
                best.Take(half + Term(Term(Term(Term(default, g[4] - x4, w4), g[5] - x5, w5), g[6] - x6, w6), g[7] - x7, w7), p);
            }
            return best.Point;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Term(Vector256<float> sum, Vector256<float> difference, Vector256<float> weight) => Vector256.FusedMultiplyAdd(difference * weight, difference, sum);

    /// <summary>The point g of least sum_i g_i (c_i + sum_{j &lt;= i} m_ij g_j).</summary>
    /// <param name="linear">c.</param>
    /// <param name="squares">m, its lower triangle row after row.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Least(Codebook book, ReadOnlySpan<float> linear, ReadOnlySpan<float> squares)
    {
        int length = book.Length, products = length * (length + 1) / 2;
        Vector256<float>* c = stackalloc Vector256<float>[Codebook.Run], m = stackalloc Vector256<float>[Codebook.Run * (Codebook.Run + 1) / 2];
        for (int i = 0; i < length; i++)
            c[i] = Vector256.Create(linear[i]);
        for (int i = 0; i < products; i++)
            m[i] = Vector256.Create(squares[i]);
        Best best = Best.None;
        fixed (Vector256<float>* points = book.Points)
            for (int p = 0; p < book.Count / 8; p++)
                best.Take(length == 4 ? Four(points + 4 * p, c, m) : Eight(points + 8 * p, c, m), p);
        return best.Point;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Four(Vector256<float>* g, Vector256<float>* c, Vector256<float>* m)
    {
        Vector256<float> g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3];
        Vector256<float> s0 = Add(m[0], g0, c[0]);
        Vector256<float> s1 = Add(m[2], g1, Add(m[1], g0, c[1]));
        Vector256<float> s2 = Add(m[5], g2, Add(m[4], g1, Add(m[3], g0, c[2])));
        Vector256<float> s3 = Add(m[9], g3, Add(m[8], g2, Add(m[7], g1, Add(m[6], g0, c[3]))));
        return Add(s3, g3, Add(s2, g2, Add(s1, g1, s0 * g0)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Eight(Vector256<float>* g, Vector256<float>* c, Vector256<float>* m)
    {
        Vector256<float> g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3], g4 = g[4], g5 = g[5], g6 = g[6], g7 = g[7];
        Vector256<float> cost = Four(g, c, m);
        Vector256<float> s4 = Add(m[14], g4, Add(m[13], g3, Add(m[12], g2, Add(m[11], g1, Add(m[10], g0, c[4])))));
        Vector256<float> s5 = Add(m[20], g5, Add(m[19], g4, Add(m[18], g3, Add(m[17], g2, Add(m[16], g1, Add(m[15], g0, c[5]))))));
        Vector256<float> s6 = Add(m[27], g6, Add(m[26], g5, Add(m[25], g4, Add(m[24], g3, Add(m[23], g2, Add(m[22], g1, Add(m[21], g0, c[6])))))));
        Vector256<float> s7 = Add(m[35], g7, Add(m[34], g6, Add(m[33], g5, Add(m[32], g4, Add(m[31], g3, Add(m[30], g2, Add(m[29], g1, Add(m[28], g0, c[7]))))))));
        return Add(s7, g7, Add(s6, g6, Add(s5, g5, Add(s4, g4, cost))));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Add(Vector256<float> factor, Vector256<float> other, Vector256<float> sum) => Vector256.FusedMultiplyAdd(factor, other, sum);

    // The least of each lane so far, and among which eight it was.
    struct Best
    {
        Vector256<float> least;
        Vector256<int> eight;

        public static Best None => new() { least = Vector256.Create(float.PositiveInfinity) };

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Take(Vector256<float> cost, int p)
        {
            Vector256<float> isLess = Vector256.LessThan(cost, least);
            least = Vector256.ConditionalSelect(isLess, cost, least);
            eight = Vector256.ConditionalSelect(isLess.AsInt32(), Vector256.Create(p), eight);
        }

        public readonly int Point
        {
            get
            {
                int best = 8 * eight[0];
                float cost = least[0];
                for (int lane = 1; lane < 8; lane++)
                    if (8 * eight[lane] + lane is var point && (least[lane] < cost || least[lane] == cost && point < best))
                        (best, cost) = (point, least[lane]);
                return best;
            }
        }
    }
}

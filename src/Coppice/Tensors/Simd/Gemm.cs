namespace Coppice.Tensors.Simd;

/// <summary>How an operand of a product lies in memory.</summary>
internal enum Transpose
{
    /// <summary>As it enters the product.</summary>
    No,

    /// <summary>With rows and columns exchanged.</summary>
    Yes,
}

/// <summary>What a product does to what its destination holds.</summary>
internal enum Accumulate
{
    /// <summary>Replaces it.</summary>
    Overwrite,

    /// <summary>Starts from it: each product is added in turn, as if the destination were the product with an earlier part of the inner dimension.</summary>
    Add,
}

/// <summary>
/// Dense products C[m, n] = or += op(A)[m, k] op(B)[k, n], packed and blocked (Goto and van de Geijn 2008). Each element of C takes its products
/// in the order of k with one rounding each, so the result has the same bits for any blocking, width and number of threads.
/// </summary>
internal static unsafe class Gemm
{
    // A product below this many multiplications is done before another thread wakes.
    const long WorthSharing = 1 << 17;

    /// <summary>C = or += op(A) op(B) with the pool's threads.</summary>
    /// <param name="pool">Threads to share the rows or the columns of C among.</param>
    /// <param name="transposeA">No: A is [m, k]. Yes: A is [k, m].</param>
    /// <param name="transposeB">No: B is [k, n]. Yes: B is [n, k].</param>
    /// <param name="m">Rows of C.</param>
    /// <param name="n">Columns of C.</param>
    /// <param name="k">Inner dimension; 0 gives zeros, or leaves C with <see cref="Accumulate.Add"/>.</param>
    /// <param name="a">A.</param>
    /// <param name="lda">Floats from one row of A, as it is stored, to the next.</param>
    /// <param name="b">B.</param>
    /// <param name="ldb">The same for B.</param>
    /// <param name="c">C, which overlaps neither A nor B.</param>
    /// <param name="ldc">The same for C.</param>
    /// <param name="mode">Whether C is replaced or added to.</param>
    /// <exception cref="ArgumentException">A span is too short for its shape.</exception>
    public static void Multiply(
        WorkerPool pool, Transpose transposeA, Transpose transposeB, int m, int n, int k,
        ReadOnlySpan<float> a, int lda, ReadOnlySpan<float> b, int ldb, Span<float> c, int ldc, Accumulate mode)
    {
        Check(transposeA, transposeB, m, n, k, a.Length, lda, b.Length, ldb, c.Length, ldc);
        fixed (float* pa = a, pb = b, pc = c)
        {
            var job = new Job
            {
                A = Left(pa, lda, transposeA),
                B = Right(pb, ldb, transposeB),
                C = pc,
                Ldc = ldc,
                M = m,
                N = n,
                K = k,
                Mode = mode,
                Parts = (long)m * n * Math.Max(k, 1) < WorthSharing ? 1 : pool.Threads,
            };
            pool.Run(job.Parts, ref job);
        }
    }

    /// <summary>The same on the calling thread alone, for use inside a job.</summary>
    /// <inheritdoc cref="Multiply(WorkerPool, Transpose, Transpose, int, int, int, ReadOnlySpan{float}, int, ReadOnlySpan{float}, int, Span{float}, int, Accumulate)"/>
    public static void Multiply(
        Transpose transposeA, Transpose transposeB, int m, int n, int k,
        ReadOnlySpan<float> a, int lda, ReadOnlySpan<float> b, int ldb, Span<float> c, int ldc, Accumulate mode)
    {
        Check(transposeA, transposeB, m, n, k, a.Length, lda, b.Length, ldb, c.Length, ldc);
        fixed (float* pa = a, pb = b, pc = c)
            Multiply(Left(pa, lda, transposeA), Right(pb, ldb, transposeB), pc, ldc, m, n, k, mode);
    }

    /// <summary>The same over pointers that the caller has checked.</summary>
    public static void Multiply(Operand a, Operand b, float* c, int ldc, int m, int n, int k, Accumulate mode)
    {
        var right = new PackedOnTheFly(b);
        GemmLoops.Run(ref right, a, c, ldc, m, n, k, mode);
    }

    /// <summary>op(A) as the loops want it.</summary>
    public static Operand Left(float* data, int stride, Transpose transpose) => new(data, stride, transpose == Transpose.No ? Inner.Contiguous : Inner.Strided);

    /// <summary>op(B) as the loops want it.</summary>
    public static Operand Right(float* data, int stride, Transpose transpose) => new(data, stride, transpose == Transpose.Yes ? Inner.Contiguous : Inner.Strided);

    static void Check(Transpose ta, Transpose tb, int m, int n, int k, int a, int lda, int b, int ldb, int c, int ldc)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(m);
        ArgumentOutOfRangeException.ThrowIfNegative(n);
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        bool fits = Fits(ta == Transpose.No ? m : k, ta == Transpose.No ? k : m, lda, a)
            && Fits(tb == Transpose.No ? k : n, tb == Transpose.No ? n : k, ldb, b) && Fits(m, n, ldc, c);
        if (!fits)
        {
            throw new ArgumentException(
                $"product of [{m}, {k}] (transposed: {ta}, row stride {lda}, {a} floats) and [{k}, {n}] (transposed: {tb}, row stride {ldb}, {b} floats) "
                + $"into [{m}, {n}] (row stride {ldc}, {c} floats): a row or a span is too short");
        }
    }

    static bool Fits(int rows, int columns, int stride, int length) =>
        rows == 0 || columns == 0 || (stride >= columns && (long)(rows - 1) * stride + columns <= length);

    /// <summary>A part is a band of rows, or of columns where those are more: what every part has to pack again is then the smaller operand.</summary>
    struct Job : IJob
    {
        public Operand A, B;
        public float* C;
        public int Ldc, M, N, K, Parts;
        public Accumulate Mode;

        public readonly void Execute(int part)
        {
            if (M >= N)
            {
                var (start, count) = Split.Part(M, MicroKernel.PanelRows, Parts, part);
                Multiply(A.From(start, 0), B, C + (nint)start * Ldc, Ldc, count, N, K, Mode);
            }
            else
            {
                var (start, count) = Split.Part(N, 2 * MicroKernel.PanelColumns, Parts, part);
                Multiply(A, B.From(start, 0), C + start, Ldc, M, count, K, Mode);
            }
        }
    }
}

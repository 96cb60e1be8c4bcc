using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression;

/// <summary>What calibration saw at the input of one or more matrices: x^T x, or its diagonal alone, averaged over tokens.</summary>
public sealed class InputStatistics
{
    readonly double[] sums;
    readonly float[] product;
    bool productIsMean;

    /// <summary>Nothing seen yet. <paramref name="kind"/> is <see cref="Statistics.ColumnNorms"/> or <see cref="Statistics.Gram"/>.</summary>
    public InputStatistics(int columns, Statistics kind)
    {
        if (kind == Statistics.None)
            throw new ArgumentException("InputStatistics: kind None gathers nothing");
        if (kind == Statistics.Gram && (long)columns * columns > Array.MaxLength)
            throw new CoppiceException($"a Gram matrix of {columns:N0} inputs has more than the {Array.MaxLength:N0} numbers that fit one array; use a method that needs none, such as roundToNearest");
        Columns = columns;
        Kind = kind;
        sums = new double[kind == Statistics.Gram ? columns * columns : columns];
        product = kind == Statistics.Gram ? new float[sums.Length] : [];
    }

    /// <summary>Input channels.</summary>
    public int Columns { get; }

    /// <summary>What is gathered.</summary>
    public Statistics Kind { get; }

    /// <summary>How many tokens were seen.</summary>
    public long Tokens { get; private set; }

    /// <summary>Adds x [tokens, columns]. The Gram of one call is a float32 product (relative error about 1e-6 * sqrt(tokens) of the norms); calls are summed in double.</summary>
    public void Add(WorkerPool pool, ReadOnlySpan<float> x)
    {
        int tokens = x.Length / Columns;
        if (Kind == Statistics.Gram)
        {
            Gemm.Multiply(pool, Transpose.Yes, Transpose.No, Columns, Columns, tokens, x, Columns, x, Columns, product, Columns, Accumulate.Overwrite);
            SumJob job = new(product, sums, Columns);
            pool.Run(Columns, ref job);
        }
        else
            for (int t = 0; t < tokens; t++)
            {
                ReadOnlySpan<float> row = x.Slice(t * Columns, Columns);
                for (int j = 0; j < row.Length; j++)
                    sums[j] += (double)row[j] * row[j];
            }
        Tokens += tokens;
        productIsMean = false;
        Factors.Clear();
    }

    readonly struct SumJob(float[] product, double[] sums, int columns) : IJob
    {
        public void Execute(int part)
        {
            ReadOnlySpan<float> row = product.AsSpan(part * columns, columns);
            Span<double> sum = sums.AsSpan(part * columns, columns);
            for (int j = 0; j < row.Length; j++)
                sum[j] += row[j];
        }
    }

    /// <summary>What SparseGPT and GPTQ made of this, for the next step or matrix with the same inputs.</summary>
    internal List<Quantize.GptqFactor> Factors { get; } = [];

    /// <summary>The mean square over all channels.</summary>
    internal double MeanOfSquares
    {
        get
        {
            double mean = 0;
            for (int i = 0; i < Columns; i++)
                mean += MeanSquare(i) / Columns;
            return mean;
        }
    }

    /// <summary>The mean square of an input channel.</summary>
    public double MeanSquare(int column) => sums[Kind == Statistics.Gram ? column * Columns + column : column] / Math.Max(1, Tokens);

    /// <summary>The mean of x_i x_j in double; only of <see cref="Statistics.Gram"/>.</summary>
    public double MeanProduct(int i, int j) => sums[i * Columns + j] / Math.Max(1, Tokens);

    /// <summary>The mean of x^T x [columns, columns] as float32; only of <see cref="Statistics.Gram"/>.</summary>
    public ReadOnlySpan<float> Gram
    {
        get
        {
            if (Kind != Statistics.Gram)
                throw new InvalidOperationException("InputStatistics: no Gram matrix was gathered");
            if (!productIsMean)
                for (int i = 0; i < product.Length; i++)
                    product[i] = (float)(sums[i] / Math.Max(1, Tokens));
            productIsMean = true;
            return product;
        }
    }

    /// <summary>The first channel whose inputs were not all finite, or -1.</summary>
    public int FirstNonFinite()
    {
        for (int j = 0; j < Columns; j++)
            if (!double.IsFinite(MeanSquare(j)))
                return j;
        return -1;
    }
}

using System.Buffers;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression;

/// <summary>What calibration saw at the input of one or more matrices: x^T x, or its diagonal alone, averaged over tokens.</summary>
public sealed class InputStatistics
{
    // Rows of products that are gathered at a time, up to the diagonal, and those of a part.
    const int Band = 256, Line = 16;

    readonly double[] squares;
    float[] gram;

    /// <summary>Nothing seen yet. <paramref name="kind"/> is <see cref="Statistics.ColumnNorms"/> or <see cref="Statistics.Gram"/>.</summary>
    public InputStatistics(int columns, Statistics kind)
    {
        if (kind == Statistics.None)
            throw new ArgumentException("InputStatistics: kind None gathers nothing");
        if (kind == Statistics.Gram && (long)columns * columns > Array.MaxLength)
            throw new CoppiceException($"a Gram matrix of {columns:N0} inputs has more than the {Array.MaxLength:N0} numbers that fit one array; use a method that needs none, such as roundToNearest");
        Columns = columns;
        Kind = kind;
        squares = new double[columns];
        gram = kind == Statistics.Gram ? new float[columns * columns] : [];
    }

    /// <summary>Mean squares [columns] that were gathered elsewhere, over so many tokens.</summary>
    internal static InputStatistics Given(ReadOnlySpan<float> meanSquares, long tokens)
    {
        InputStatistics given = new(meanSquares.Length, Statistics.ColumnNorms) { Tokens = tokens };
        for (int i = 0; i < meanSquares.Length; i++)
            given.squares[i] = (double)meanSquares[i] * tokens;
        return given;
    }

    /// <summary>What was gathered elsewhere over so many tokens: sums of squares [columns], and of <see cref="Statistics.Gram"/> the means of products up to the diagonal, row after row.</summary>
    internal static InputStatistics From(double[] squares, ReadOnlySpan<float> products, long tokens)
    {
        InputStatistics from = new(squares.Length, products.IsEmpty ? Statistics.ColumnNorms : Statistics.Gram) { Tokens = tokens };
        squares.CopyTo(from.squares, 0);
        for (int i = 0, at = 0; i < squares.Length && !products.IsEmpty; i++)
            for (int j = 0; j <= i; j++)
                from.gram[i * squares.Length + j] = from.gram[j * squares.Length + i] = products[at++];
        return from;
    }

    /// <summary>What all parts saw together, each token of a part counting as much as the part's weight says. Means are added up in double, in the parts' order.</summary>
    /// <param name="parts">At least one, of the same columns and kind.</param>
    internal static InputStatistics Together(IReadOnlyList<(InputStatistics Part, double Weight)> parts)
    {
        double tokens = parts.Sum(part => part.Weight * part.Part.Tokens);
        InputStatistics first = parts[0].Part, all = new(first.Columns, first.Kind) { Tokens = (long)Math.Round(tokens) };
        // Sums of squares are over tokens that are counted whole.
        double whole = tokens == 0 ? 1 : all.Tokens / tokens;
        foreach ((InputStatistics part, double weight) in parts)
            for (int i = 0; i < all.Columns; i++)
                all.squares[i] += weight * whole * part.squares[i];
        if (tokens == 0)
            return all;
        for (int i = 0; i < all.gram.Length; i++)
        {
            double sum = 0;
            foreach ((InputStatistics part, double weight) in parts)
                sum += weight * part.Tokens * part.gram[i];
            all.gram[i] = (float)(sum / tokens);
        }
        return all;
    }

    /// <summary>Sums of squares [columns].</summary>
    internal ReadOnlySpan<double> Squares => squares;

    /// <summary>Means of products up to the diagonal, row after row; none of <see cref="Statistics.ColumnNorms"/>.</summary>
    internal float[] Products()
    {
        if (Kind != Statistics.Gram)
            return [];
        float[] products = new float[checked(Columns * (Columns + 1) / 2)];
        for (int i = 0, at = 0; i < Columns; at += ++i)
            gram.AsSpan(i * Columns, i + 1).CopyTo(products.AsSpan(at));
        return products;
    }

    /// <summary>Input channels.</summary>
    public int Columns { get; }

    /// <summary>What is gathered.</summary>
    public Statistics Kind { get; }

    /// <summary>How many tokens were seen.</summary>
    public long Tokens { get; private set; }

    /// <summary>Adds x [tokens, columns]. Means are kept in float32, a product's tokens summed in it (relative error about 1e-6 * sqrt(tokens) of the norms) and each call rounded into it once; mean squares by themselves in double.</summary>
    public void Add(WorkerPool pool, ReadOnlySpan<float> x)
    {
        int tokens = x.Length / Columns;
        if (tokens == 0)
            return;
        if (Kind == Statistics.Gram)
            AddProducts(pool, x, tokens);
        else
            for (int t = 0; t < tokens; t++)
            {
                ReadOnlySpan<float> row = x.Slice(t * Columns, Columns);
                for (int j = 0; j < row.Length; j++)
                    squares[j] += (double)row[j] * row[j];
            }
        Tokens += tokens;
        Factors.Clear();
    }

    void AddProducts(WorkerPool pool, ReadOnlySpan<float> x, int tokens)
    {
        float[] product = ArrayPool<float>.Shared.Rent(Math.Min(Band, Columns) * Columns);
        for (int start = 0; start < Columns; start += Band)
        {
            int rows = Math.Min(Band, Columns - start), end = start + rows;
            Gemm.Multiply(pool, Transpose.Yes, Transpose.No, rows, end, tokens, x[start..], Columns, x, Columns, product, end, Accumulate.Overwrite);
            MeanJob job = new(product, start, end, (double)Tokens / (Tokens + tokens), 1.0 / (Tokens + tokens), squares, gram);
            pool.Run((rows + Line - 1) / Line, ref job);
        }
        ArrayPool<float>.Shared.Return(product);
    }

    // Both sides of the diagonal are kept, since it is read in runs of rows; rows go together so that beyond it whole lines are written.
    readonly struct MeanJob(float[] product, int start, int end, double keep, double share, double[] squares, float[] gram) : IJob
    {
        public void Execute(int part)
        {
            int columns = squares.Length, first = start + part * Line, last = Math.Min(end, first + Line);
            for (int j = 0; j < last; j++)
                for (int row = Math.Max(first, j + 1); row < last; row++)
                    gram[j * columns + row] = gram[row * columns + j] = (float)(keep * gram[row * columns + j] + share * product[(row - start) * end + j]);
            for (int row = first; row < last; row++)
            {
                squares[row] += product[(row - start) * end + row];
                gram[row * columns + row] = (float)(share * squares[row]);
            }
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
    public double MeanSquare(int column) => squares[column] / Math.Max(1, Tokens);

    /// <summary>The mean square of every input channel [columns].</summary>
    public float[] MeanSquares() => [.. Enumerable.Range(0, Columns).Select(column => (float)MeanSquare(column))];

    /// <summary>The mean of x_i x_j, with i = j in double; only of <see cref="Statistics.Gram"/>.</summary>
    public double MeanProduct(int i, int j) => i == j ? MeanSquare(i) : gram[i * Columns + j];

    /// <summary>The mean of x^T x [columns, columns]; only of <see cref="Statistics.Gram"/>.</summary>
    public ReadOnlySpan<float> Gram => Kind == Statistics.Gram ? gram : throw new InvalidOperationException("InputStatistics: no Gram matrix was gathered");

    /// <summary>Lets go of products and of what was made of them: nothing is to be asked of them any more.</summary>
    internal void LetGo()
    {
        gram = [];
        Factors.Clear();
    }

    /// <summary>How many matrices are still to be worked on with this.</summary>
    internal int Readers { get; set; } = int.MaxValue;

    /// <summary>The first channel whose inputs were not all finite, or -1.</summary>
    public int FirstNonFinite()
    {
        for (int j = 0; j < Columns; j++)
            if (!double.IsFinite(MeanSquare(j)))
                return j;
        return -1;
    }
}

namespace Coppice.Compression.Structured;

/// <summary>Mean, mean square and variance of each column over the tokens that were seen.</summary>
sealed class Moments(int columns)
{
    readonly double[] sums = new double[columns], squares = new double[columns];

    public long Tokens { get; private set; }

    /// <summary>Adds x [tokens, columns].</summary>
    public void Add(ReadOnlySpan<float> x)
    {
        for (int start = 0; start < x.Length; start += sums.Length)
            for (int j = 0; j < sums.Length; j++)
            {
                double value = x[start + j];
                sums[j] += value;
                squares[j] += value * value;
            }
        Tokens += x.Length / sums.Length;
    }

    public double Mean(int column) => sums[column] / Math.Max(1, Tokens);

    public double[] MeanSquares => [.. squares.Select(square => square / Math.Max(1, Tokens))];

    public double[] Variances => [.. squares.Select((square, j) => Math.Max(0, square / Math.Max(1, Tokens) - Mean(j) * Mean(j)))];
}

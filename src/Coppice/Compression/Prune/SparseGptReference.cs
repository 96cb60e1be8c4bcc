namespace Coppice.Compression.Prune;

/// <summary>SparseGPT in double, a weight at a time: what <see cref="SparseGpt"/>'s blocks, lanes and threads are held against.</summary>
internal static class SparseGptReference
{
    /// <summary>Edits the weights [rows, columns] and says which are kept; U [columns, columns] is upper triangular with U^T U = H^-1.</summary>
    public static bool[] Solve(double[] weights, double[] u, int columns, double sparsity, SparsityPattern? pattern)
    {
        bool[] keep = new bool[weights.Length];
        int rows = weights.Length / columns, block = SparseGpt.BlockFor(pattern);
        for (int c = 0; c < columns; c++)
        {
            if (pattern is { } p && c % p.Of == 0)
                for (int row = 0; row < rows; row++)
                    Choose(row, row + 1, c, c + p.Of, p.Of - p.Keep);
            if (pattern is null && c % block == 0)
            {
                int end = Math.Min(columns, c + block);
                Choose(0, rows, c, end, Pruning.CountOf(rows * end, sparsity) - Pruning.CountOf(rows * c, sparsity));
            }
            for (int row = 0; row < rows; row++)
                if (!keep[row * columns + c])
                {
                    double error = weights[row * columns + c] / u[c * columns + c];
                    weights[row * columns + c] = 0;
                    for (int k = c + 1; k < columns; k++)
                        weights[row * columns + k] -= error * u[c * columns + k];
                }
        }
        return keep;

        void Choose(int firstRow, int lastRow, int start, int end, int drop)
        {
            List<int> places = [];
            for (int row = firstRow; row < lastRow; row++)
                places.AddRange(Enumerable.Range(row * columns + start, end - start));
            foreach (int place in places.OrderByDescending(Score).SkipLast(drop))
                keep[place] = true;

            double Score(int place) => Math.Abs(weights[place]) / u[place % columns * (columns + 1)];
        }
    }
}

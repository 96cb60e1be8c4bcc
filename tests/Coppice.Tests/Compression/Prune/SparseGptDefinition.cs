using Coppice.Compression;

namespace Coppice.Tests.Compression.Prune;

/// <summary>Optimal brain surgery in column order by its definition, in double: for each column the inverse of what is left of H, by elimination. No factor, no blocks, no lanes.</summary>
static class SparseGptDefinition
{
    /// <summary>Weights [rows, columns] with the lowest w^2 / [H^-1]_cc of each <paramref name="block"/> columns at 0 (or those of each group of a pattern), the others moved to make up for them.</summary>
    public static double[] Solve(float[] weights, double[,] h, double sparsity, SparsityPattern? pattern, int block)
    {
        int columns = h.GetLength(0), rows = weights.Length / columns;
        double[] w = [.. weights.Select(value => (double)value)];
        double[][,] inverses = [.. Enumerable.Range(0, columns).Select(c => InverseFrom(h, c))];
        HashSet<(int Row, int Column)> dropped = [];
        for (int c = 0; c < columns; c++)
        {
            if (pattern is { } p && c % p.Of == 0)
                for (int row = 0; row < rows; row++)
                    Drop([row], c, c + p.Of, p.Of - p.Keep);
            if (pattern is null && c % block == 0)
            {
                int end = Math.Min(columns, c + block);
                Drop(Enumerable.Range(0, rows), c, end, (int)Math.Round(rows * end * sparsity) - (int)Math.Round(rows * c * sparsity));
            }
            for (int row = 0; row < rows; row++)
                if (dropped.Contains((row, c)))
                {
                    double share = w[row * columns + c] / inverses[c][0, 0];
                    for (int k = c; k < columns; k++)
                        w[row * columns + k] -= share * inverses[c][0, k - c];
                    w[row * columns + c] = 0;
                }
        }
        return w;

        void Drop(IEnumerable<int> among, int start, int end, int count)
        {
            var places = among.SelectMany(row => Enumerable.Range(start, end - start).Select(c => (row, c)));
            foreach ((int row, int c) in places.OrderBy(place => w[place.row * columns + place.c] * w[place.row * columns + place.c] / inverses[place.c][0, 0]).Take(count))
                dropped.Add((row, c));
        }
    }

    // Gauss and Jordan on the rows and columns from one on.
    static double[,] InverseFrom(double[,] matrix, int first)
    {
        int n = matrix.GetLength(0) - first;
        double[,] a = new double[n, n], inverse = new double[n, n];
        for (int i = 0; i < n; i++)
        {
            inverse[i, i] = 1;
            for (int j = 0; j < n; j++)
                a[i, j] = matrix[first + i, first + j];
        }
        for (int p = 0; p < n; p++)
        {
            double pivot = a[p, p];
            for (int j = 0; j < n; j++)
                (a[p, j], inverse[p, j]) = (a[p, j] / pivot, inverse[p, j] / pivot);
            for (int i = 0; i < n; i++)
                if (i != p)
                {
                    double factor = a[i, p];
                    for (int j = 0; j < n; j++)
                        (a[i, j], inverse[i, j]) = (a[i, j] - factor * a[p, j], inverse[i, j] - factor * inverse[p, j]);
                }
        }
        return inverse;
    }
}

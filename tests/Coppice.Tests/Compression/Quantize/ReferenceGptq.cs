namespace Coppice.Tests.Compression.Quantize;

/// <summary>Optimal brain quantization by its definition, in double: invert H, round a column, spread its error by H^-1's row, take the column out of H^-1. No blocks, no factor, no threads.</summary>
static class ReferenceGptq
{
    /// <summary>Settles every weight in the order of columns; <paramref name="round"/> gets row, column and the row's current values, and says where the column's weight ends.</summary>
    public static double[] Settle(float[] weights, double[,] h, int[] order, Func<int, int, double[], double> round)
    {
        int columns = order.Length, rows = weights.Length / columns;
        double[,] start = Invert(h);
        double[] settled = new double[weights.Length];
        for (int row = 0; row < rows; row++)
        {
            double[,] inverse = (double[,])start.Clone();
            double[] w = [.. weights.Skip(row * columns).Take(columns).Select(value => (double)value)];
            foreach (int c in order)
            {
                double value = settled[row * columns + c] = round(row, c, w), pivot = inverse[c, c], error = (w[c] - value) / pivot;
                double[] line = [.. Enumerable.Range(0, columns).Select(k => inverse[c, k])];
                for (int k = 0; k < columns; k++)
                    w[k] -= error * line[k];
                for (int i = 0; i < columns; i++)
                    for (int j = 0; j < columns; j++)
                        inverse[i, j] -= line[i] * line[j] / pivot;
            }
        }
        return settled;
    }

    // Gauss and Jordan with pivots on the diagonal, enough for a positive definite matrix.
    static double[,] Invert(double[,] matrix)
    {
        int n = matrix.GetLength(0);
        double[,] a = (double[,])matrix.Clone(), inverse = new double[n, n];
        for (int i = 0; i < n; i++)
            inverse[i, i] = 1;
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

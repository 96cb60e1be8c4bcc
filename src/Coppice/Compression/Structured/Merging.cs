namespace Coppice.Compression.Structured;

/// <summary>
/// Greedy merging of a matrix's inputs. x_b ~ s x_a with s = G_ab / G_aa leaves the residual r_ab = G_bb - G_ab^2 / G_aa, and merging b into a (w_a += s w_b) an error of ||w_b||^2 r_ab
/// of the outputs' mean square. The pair of least error goes first; what was added to w_a counts when a itself is merged.
/// </summary>
public static class Merging
{
    /// <summary>Merges all but <paramref name="keep"/> inputs.</summary>
    /// <param name="gram">G [inputs, inputs], the mean of x x^T.</param>
    /// <param name="inputs">Numbers of x.</param>
    /// <param name="weights">W [outputs, inputs]; columns that stay take up the others, which are left as they were.</param>
    /// <param name="keep">How many stay, at least one.</param>
    /// <param name="cancel">Stops the work.</param>
    /// <returns>The inputs that stay, ascending, and what was merged, in order.</returns>
    public static (int[] Kept, Merge[] Merges) Run(ReadOnlySpan<float> gram, int inputs, Span<float> weights, int keep, CancellationToken cancel = default)
    {
        bool[] isGone = new bool[inputs];
        int[] nearest = new int[inputs];
        double[] residual = new double[inputs], squares = new double[inputs];
        Merge[] merges = new Merge[inputs - keep];
        Importance.AddColumnSquares(weights, squares);
        for (int b = 0; b < inputs; b++)
            Find(gram, b);
        for (int step = 0; step < merges.Length; step++)
        {
            cancel.ThrowIfCancellationRequested();
            int gone = -1;
            for (int b = 0; b < inputs; b++)
                if (!isGone[b] && (gone < 0 || squares[b] * residual[b] < squares[gone] * residual[gone]))
                    gone = b;
            int into = nearest[gone];
            isGone[gone] = true;
            double own = gram[gone * inputs + gone], other = gram[into * inputs + into];
            merges[step] = new Merge(gone, into, other > 0 ? gram[gone * inputs + into] / other : 0, own > 0 ? residual[gone] / own : 0);
            Apply(merges[step], weights, inputs);
            squares[into] = 0;
            for (int row = 0; row < weights.Length; row += inputs)
                squares[into] += (double)weights[row + into] * weights[row + into];
            for (int b = 0; b < inputs; b++)
                if (!isGone[b] && nearest[b] == gone)
                    Find(gram, b);
        }
        return ([.. Enumerable.Range(0, inputs).Where(b => !isGone[b])], merges);

        // What of b the input that tells most of it does not.
        void Find(ReadOnlySpan<float> gram, int b)
        {
            double most = -1;
            for (int a = 0; a < inputs; a++)
            {
                if (a == b || isGone[a])
                    continue;
                double shared = gram[b * inputs + a], other = gram[a * inputs + a], explained = other > 0 ? shared * shared / other : 0;
                if (explained > most)
                    (most, nearest[b]) = (explained, a);
            }
            residual[b] = Math.Max(0, gram[b * inputs + b] - most);
        }
    }

    /// <summary>w_into += scale w_from, for weights [outputs, inputs].</summary>
    public static void Apply(Merge merge, Span<float> weights, int inputs)
    {
        for (int row = 0; row < weights.Length; row += inputs)
            weights[row + merge.Into] += (float)(merge.Scale * weights[row + merge.From]);
    }
}

/// <summary>One input that is read from another: x_from ~ scale x_into.</summary>
/// <param name="From">What goes.</param>
/// <param name="Into">What takes it up.</param>
/// <param name="Scale">How large it is beside that.</param>
/// <param name="Unlike">The share of its mean square that the other does not tell, 0 to 1.</param>
public readonly record struct Merge(int From, int Into, double Scale, double Unlike);

using Coppice.Tensors;

namespace Coppice.Federation.Robust;

/// <summary>How far updates are from one another.</summary>
static class Distances
{
    /// <summary>|a - b|^2 of every two, in double.</summary>
    public static double[,] Squared(IReadOnlyList<WeightedUpdate> deltas)
    {
        double[,] squared = new double[deltas.Count, deltas.Count];
        for (int a = 0; a < deltas.Count; a++)
            for (int b = 0; b < a; b++)
                squared[a, b] = squared[b, a] = Between(deltas[a].Values, deltas[b].Values);
        return squared;
    }

    /// <summary>Krum's choice among some updates: the one whose <paramref name="neighbours"/> nearest others are nearest (Blanchard et al. 2017); of equal ones the first.</summary>
    public static int Central(double[,] squared, IReadOnlyList<int> among, int neighbours) => among.MinBy(a => Score(squared, among, neighbours, a));

    /// <summary>The sum of an update's squared distances to its nearest others.</summary>
    public static double Score(double[,] squared, IReadOnlyList<int> among, int neighbours, int a) => among.Where(b => b != a).Select(b => squared[a, b]).Order().Take(neighbours).Sum();

    static double Between(ParameterSet a, ParameterSet b)
    {
        double sum = 0;
        foreach ((string name, Tensor tensor) in a.Tensors)
        {
            ReadOnlySpan<float> left = tensor.Data, right = b.Tensors[name].Data;
            for (int i = 0; i < left.Length; i++)
                sum += ((double)left[i] - right[i]) * ((double)left[i] - right[i]);
        }
        return sum;
    }
}

using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Splits;

/// <summary>Documents at random, client k of N getting a share k^-exponent / sum over i of i^-exponent of them: a power law of sizes, and equal sizes for exponent 0.</summary>
/// <param name="exponent">0 or more.</param>
/// <param name="clients">N.</param>
sealed class SizeSplit(double exponent, int clients) : ISplit
{
    public string Name => exponent == 0 ? string.Create(CultureInfo.InvariantCulture, $"iid:{clients}") : string.Create(CultureInfo.InvariantCulture, $"power:{exponent}:{clients}");

    public bool UsesLabels => false;

    public IReadOnlyList<ClientShare> Deal(IReadOnlyList<string> labels, Random random)
    {
        int[] documents = [.. Enumerable.Range(0, labels.Count)];
        random.Shuffle(documents);
        double[] weights = [.. Enumerable.Range(1, clients).Select(k => Math.Pow(k, -exponent))];
        double sum = weights.Sum();
        ArraySegment<int>[] parts = [.. Dealing.Cut(documents, [.. weights.Select(weight => weight / sum)])];
        int empty = Array.FindIndex(parts, part => part.Count == 0);
        return empty < 0
            ? Dealing.Name([.. parts])
            : throw new CoppiceException($"split '{Name}': {labels.Count:N0} documents leave client {empty + 1} with none; wanted fewer clients{(exponent == 0 ? "" : " or a smaller exponent")}");
    }
}

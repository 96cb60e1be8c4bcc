using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>One client's text in numbers.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Documents">Texts.</param>
/// <param name="Tokens">Token ids.</param>
/// <param name="FromPooled">Jensen-Shannon divergence, in bits (0 to 1), of its token frequencies from those of all clients' tokens together.</param>
public sealed record ClientTextSummary(string Client, int Documents, int Tokens, double FromPooled);

/// <summary>
/// How different clients' texts are, from their token frequencies. JS(P, Q) = H((P + Q) / 2) - (H(P) + H(Q)) / 2 with entropies in bits (Lin 1991): 0 for equal
/// frequencies, 1 where no token is shared. Small texts differ by chance as well, so compare texts of like size. For simulations: it needs every client's text in one place.
/// </summary>
/// <param name="Clients">In the order given.</param>
/// <param name="Divergence">JS of every two clients, in bits; [i][j] is symmetric with a zero diagonal.</param>
/// <param name="MutualInformation">H(pooled) - sum of each client's share of tokens times its H: what a token tells of its client, in bits.</param>
public sealed record NonIidReport(ImmutableArray<ClientTextSummary> Clients, ImmutableArray<ImmutableArray<double>> Divergence, double MutualInformation)
{
    /// <summary>The mean over pairs of different clients, in bits; 0 for one client.</summary>
    public double MeanDivergence => Clients.Length < 2 ? 0 : Divergence.Sum(row => row.Sum()) / (Clients.Length * (Clients.Length - 1));

    /// <summary>Measures texts given as token ids below <paramref name="vocabulary"/>.</summary>
    public static NonIidReport Measure(IReadOnlyList<(string Client, int Documents, int[] Tokens)> texts, int vocabulary)
    {
        double[][] frequencies = [.. texts.Select(text => Frequencies(text.Client, text.Tokens, vocabulary))];
        double total = texts.Sum(text => (double)text.Tokens.Length);
        double[] pooled = new double[vocabulary];
        double within = 0;
        for (int i = 0; i < texts.Count; i++)
        {
            double share = texts[i].Tokens.Length / total;
            within += share * Entropy(frequencies[i]);
            for (int token = 0; token < vocabulary; token++)
                pooled[token] += share * frequencies[i][token];
        }
        return new NonIidReport(
            [.. texts.Select((text, i) => new ClientTextSummary(text.Client, text.Documents, text.Tokens.Length, JensenShannon(frequencies[i], pooled)))],
            [.. frequencies.Select(p => frequencies.Select(q => p == q ? 0 : JensenShannon(p, q)).ToImmutableArray())],
            Entropy(pooled) - within);
    }

    /// <summary>JS of two distributions of one length, in bits.</summary>
    internal static double JensenShannon(ReadOnlySpan<double> p, ReadOnlySpan<double> q)
    {
        double[] middle = new double[p.Length];
        for (int i = 0; i < p.Length; i++)
            middle[i] = (p[i] + q[i]) / 2;
        return Entropy(middle) - (Entropy(p) + Entropy(q)) / 2;
    }

    static double Entropy(ReadOnlySpan<double> p)
    {
        double bits = 0;
        foreach (double share in p)
            if (share > 0)
                bits -= share * Math.Log2(share);
        return bits;
    }

    static double[] Frequencies(string client, int[] tokens, int vocabulary)
    {
        if (tokens.Length == 0)
            throw new CoppiceException($"client '{client}' has no text");
        double[] frequencies = new double[vocabulary];
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)vocabulary)
                throw new CoppiceException($"client '{client}' has token id {token}, the vocabulary {vocabulary}");
            frequencies[token] += 1.0 / tokens.Length;
        }
        return frequencies;
    }
}

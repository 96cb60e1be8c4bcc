namespace Coppice.Federation.Privacy;

/// <summary>Clients that take part independently of one another, which is what the accountant's amplification assumes. A draw of a fixed number, those who answer before a deadline, and clients that choose themselves are not that.</summary>
static class PoissonSampling
{
    /// <summary>The clients drawn, by name; perhaps none.</summary>
    public static IReadOnlyList<string> Draw(IEnumerable<string> clients, double probability, Func<double> uniform) =>
        [.. clients.Order(StringComparer.Ordinal).Where(_ => uniform() <= probability)];
}

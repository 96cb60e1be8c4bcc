using System.Globalization;
using System.Security.Cryptography;
using Coppice.Tensors;

namespace Coppice.Federation.Privacy;

/// <summary>Who adds the noise.</summary>
public enum PrivacyPlace
{
    /// <summary>The server, to the sum (DP-FedAvg, McMahan et al. 2018): clients trust it with their updates.</summary>
    Central,

    /// <summary>Each client, to its own update before it leaves (local differential privacy): far more noise for the same epsilon.</summary>
    Local,

    /// <summary>Clients, each a part, in whole numbers that secure aggregation adds up: about the noise of <see cref="Central"/>, and the server need not be trusted.</summary>
    Distributed,
}

/// <summary>Differential privacy of whole clients.</summary>
public sealed record PrivacyOptions
{
    /// <summary>Who adds the noise.</summary>
    public PrivacyPlace Place { get; init; }

    /// <summary>S: deltas are shortened to this 2-norm; where it adapts, at first. With <see cref="PrivacyPlace.Distributed"/> it is secure aggregation's.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>z: noise of deviation z S is added to each number of the sum (of each update, with <see cref="PrivacyPlace.Local"/>).</summary>
    public double Noise { get; init; } = 1;

    /// <summary>The probability with which the guarantee may fail; well below 1 / clients.</summary>
    public double Delta { get; init; } = 1e-5;

    /// <summary>A round that would take epsilon above this is refused; infinity for none.</summary>
    public double Budget { get; init; } = double.PositiveInfinity;

    /// <summary>Above 0, S follows this quantile of the clients' norms (Andrew et al. 2021); central only.</summary>
    public double Quantile { get; init; }

    /// <summary>How fast S follows: S *= exp(-rate (share within S - quantile)).</summary>
    public double QuantileRate { get; init; } = 0.2;

    /// <summary>Deviation of the noise on the count of clients within S, where S adapts. It takes part of z.</summary>
    public double CountNoise { get; init; } = 1;

    /// <summary>Makes the 32 secret bytes that the noise, and the draw of clients, come from: the system's cryptographic generator unless a test has its own.</summary>
    public Func<byte[]> NewKey { get; init; } = () => RandomNumberGenerator.GetBytes(32);

    /// <summary>What a name looks like.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["central:CLIP:NOISE[:DELTA[:BUDGET]]", "adaptive:QUANTILE:NOISE[:DELTA[:BUDGET[:CLIP]]]", "local:CLIP:NOISE[:DELTA[:BUDGET]]", "distributed:NOISE[:DELTA[:BUDGET]]"];

    /// <summary>Options by their name, such as <c>central:0.5:1</c>.</summary>
    /// <exception cref="CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static PrivacyOptions Find(string text)
    {
        Spec spec = new("dp", text);
        return spec.Name switch
        {
            "central" or "local" => spec.End(new PrivacyOptions
            {
                Place = spec.Name == "local" ? PrivacyPlace.Local : PrivacyPlace.Central,
                Clip = Positive(spec, "a norm", null),
                Noise = Positive(spec, "noise", null),
                Delta = spec.Number("delta", 1e-5, 1e-300, 0.5),
                Budget = spec.Number("a budget", double.PositiveInfinity, 0, double.PositiveInfinity),
            }),
            "distributed" => spec.End(new PrivacyOptions
            {
                Place = PrivacyPlace.Distributed,
                Noise = Positive(spec, "noise", null),
                Delta = spec.Number("delta", 1e-5, 1e-300, 0.5),
                Budget = spec.Number("a budget", double.PositiveInfinity, 0, double.PositiveInfinity),
            }),
            "adaptive" => spec.End(new PrivacyOptions
            {
                Quantile = spec.Number("a quantile", null, 0.01, 0.99),
                Noise = Positive(spec, "noise", null),
                Delta = spec.Number("delta", 1e-5, 1e-300, 0.5),
                Budget = spec.Number("a budget", double.PositiveInfinity, 0, double.PositiveInfinity),
                Clip = Positive(spec, "a norm", 1),
            }),
            _ => throw spec.Unknown(Forms),
        };
    }

    /// <summary>Names all that changes a run's result.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{Place}:{Clip}:{Noise}:{Quantile}:{QuantileRate}:{CountNoise}");

    /// <summary>The noise on the sum over S. Where S adapts, the count's noise was taken off: z^-2 = z_sum^-2 + (2 count noise)^-2.</summary>
    public double SumNoise => Quantile > 0 ? 1 / Math.Sqrt(1 / (Noise * Noise) - 1 / (4 * CountNoise * CountNoise)) : Noise;

    /// <summary>What a round costs, where clients do not share the noise: the probability of taking part and the noise over the most that one client can change. Two clipped updates differ by up to 2 S, so locally noise counts half.</summary>
    internal (double Probability, double Noise) Cost(double participation) => Place == PrivacyPlace.Local ? (1, Noise / 2) : (participation > 0 ? participation : 1, Noise);

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Check(Clip > 0 && double.IsFinite(Clip), "clipping norm", Clip, "above 0");
        Check(Noise > 0 && double.IsFinite(Noise), "noise", Noise, "above 0");
        Check(Delta is > 0 and < 1, "delta", Delta, "0 to 1, exclusive");
        Check(Budget >= 0, "budget", Budget, "0 or more");
        Check(Quantile is >= 0 and < 1, "quantile", Quantile, "0 (S is fixed) to 1, exclusive");
        if (Quantile > 0)
        {
            Check(QuantileRate > 0 && double.IsFinite(QuantileRate), "quantile rate", QuantileRate, "above 0");
            Check(CountNoise > Noise / 2 && double.IsFinite(CountNoise), "noise of the count", CountNoise, $"above half of the noise, {Noise}");
            if (Place != PrivacyPlace.Central)
                throw new CoppiceException("Privacy: a norm that adapts needs the server to count; wanted central noise, or a fixed norm");
        }

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"Privacy: {name} is {value}, wanted {wanted}"));
        }
    }

    static double Positive(Spec spec, string name, double? fallback) => spec.Number(name, fallback, 1e-12, 1e12);
}

using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>What is done with an update's numbers before they are rounded.</summary>
public enum SecureTransform
{
    /// <summary>A random rotation (Suresh et al. 2017), after which all numbers are about as large, so that few bits do for all.</summary>
    Hadamard,

    /// <summary>Nothing: each number may be as large as the norm, and takes some ten bits more.</summary>
    None,
}

/// <summary>Secure aggregation: the server learns the sum of updates, and of no client more (Bonawitz et al. 2017; Bell et al. 2020).</summary>
public sealed record SecureOptions
{
    /// <summary>Updates are shortened to this 2-norm.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>Bits of a rounded number.</summary>
    public int Bits { get; init; } = 16;

    /// <summary>A client's weight is its training windows, and this where it has more.</summary>
    public int MaxWeight { get; init; } = 1024;

    /// <summary>What is done before rounding.</summary>
    public SecureTransform Transform { get; init; }

    /// <summary>The share of clients that may be gone by the end without the round failing.</summary>
    public double Dropouts { get; init; } = 0.3;

    /// <summary>The share of clients that may work with the server against the others.</summary>
    public double Adversaries { get; init; } = 0.2;

    /// <summary>With a graph that is not complete, an update is hidden but for a probability of 2^-this.</summary>
    public int PrivacyBits { get; init; } = 40;

    /// <summary>With a graph that is not complete, a round with no more than its share of dropouts succeeds but for a probability of 2^-this.</summary>
    public int CorrectnessBits { get; init; } = 30;

    /// <summary>z: above 0 clients add noise, those that stay and are honest z times the most that one client can change together (<see cref="DistributedNoise"/>), all weigh the same, and losses are not told.</summary>
    public double Noise { get; init; }

    /// <summary>The same with noise, if any.</summary>
    public SecureOptions With(Privacy.PrivacyOptions? privacy) => privacy is { Place: Privacy.PrivacyPlace.Distributed } ? this with { Noise = privacy.Noise, MaxWeight = 1 } : this;

    /// <summary>What a name looks like.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["hadamard:CLIP[:BITS[:WEIGHT[:DROPOUTS[:ADVERSARIES]]]]", "plain:CLIP[:BITS[:WEIGHT[:DROPOUTS[:ADVERSARIES]]]]"];

    /// <summary>Options by their name, such as <c>hadamard:5</c>.</summary>
    /// <exception cref="CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static SecureOptions Find(string text)
    {
        Spec spec = new("secure", text);
        SecureOptions defaults = new();
        return spec.Name switch
        {
            "hadamard" or "plain" => spec.End(new SecureOptions
            {
                Transform = spec.Name == "plain" ? SecureTransform.None : SecureTransform.Hadamard,
                Clip = spec.Number("a norm", null, 1e-12, 1e12),
                Bits = spec.Whole("bits", spec.Name == "plain" ? MaxBits : defaults.Bits, MinBits, MaxBits),
                MaxWeight = spec.Whole("a weight", defaults.MaxWeight, 1, LargestWeight),
                Dropouts = spec.Number("dropouts", defaults.Dropouts, 0, 0.5),
                Adversaries = spec.Number("adversaries", defaults.Adversaries, 0, 1),
            }),
            _ => throw spec.Unknown(Forms),
        };
    }

    /// <summary>Names all that changes a run's result.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{Transform}:{Clip}:{Bits}:{MaxWeight}:{Dropouts}:{Adversaries}:{PrivacyBits}:{CorrectnessBits}{(Noise > 0 ? ":" + Noise.ToString(CultureInfo.InvariantCulture) : "")}");

    internal const int MinBits = 2, MaxBits = 24, LargestWeight = 1 << 20;

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Check(Clip > 0 && double.IsFinite(Clip), "clipping norm", Clip, "above 0");
        Check(Bits is >= MinBits and <= MaxBits, "bits", Bits, $"{MinBits} to {MaxBits}");
        Check(MaxWeight is >= 1 and <= LargestWeight, "weight", MaxWeight, $"1 to {LargestWeight}");
        Check(Enum.IsDefined(Transform), "transform", (double)Transform, "Hadamard or None");
        Check(Dropouts is >= 0 and < 0.5, "share of dropouts", Dropouts, "0 to 0.5, exclusive");
        Check(Adversaries is >= 0 and < 1, "share of adversaries", Adversaries, "0 to 1, exclusive");
        Check(PrivacyBits is >= 1 and <= 128 && CorrectnessBits is >= 1 and <= 128, "bits of a failure's probability", Math.Min(PrivacyBits, CorrectnessBits), "1 to 128");
        Check(Noise >= 0 && double.IsFinite(Noise), "noise", Noise, "0 or more");
        Check(Noise == 0 || MaxWeight == 1, "weight", MaxWeight, "1 where clients add noise, as they then weigh the same");
        if (2 * Dropouts + Adversaries >= 1)
            throw new CoppiceException(string.Create(CultureInfo.InvariantCulture,
                $"Secure aggregation: more than half of all clients and adversaries must confirm who is in the sum, and with {Dropouts} dropouts and {Adversaries} adversaries too few are left; wanted 2 dropouts + adversaries below 1"));

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"Secure aggregation: {name} is {value}, wanted {wanted}"));
        }
    }
}

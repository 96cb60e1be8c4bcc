using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Attacks;

/// <summary>What a client does that wants the run to fail.</summary>
public enum AttackKind
{
    /// <summary>Sends its delta times minus the strength.</summary>
    SignFlip,

    /// <summary>Sends its delta times the strength.</summary>
    Scale,

    /// <summary>Trains on its text with the tokens shuffled, the counterpart of wrong labels for a language model, and sends its delta times the strength.</summary>
    Shuffle,
}

/// <summary>Attackers in a simulation.</summary>
/// <param name="Kind">What they do.</param>
/// <param name="Share">The share of clients that do it, rounded up.</param>
/// <param name="Strength">How much longer their delta is than the honest one.</param>
public sealed record Attack(AttackKind Kind, double Share, double Strength = 1)
{
    /// <summary>What a name looks like.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["signflip:SHARE[:STRENGTH]", "scale:SHARE[:STRENGTH]", "shuffle:SHARE[:STRENGTH]"];

    /// <summary>An attack by its name, such as <c>signflip:0.2</c>.</summary>
    /// <exception cref="CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static Attack Find(string text)
    {
        Spec spec = new("attack", text);
        return spec.Name switch
        {
            "signflip" => Read(spec, AttackKind.SignFlip, 1),
            "scale" => Read(spec, AttackKind.Scale, 10),
            "shuffle" => Read(spec, AttackKind.Shuffle, 1),
            _ => throw spec.Unknown(Forms),
        };
    }

    /// <summary>The name with all its parameters.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{Kind.ToString().ToLowerInvariant()}:{Share}:{Strength}");

    /// <summary>Which clients attack, drawn by seed.</summary>
    public IReadOnlySet<string> Attackers(IEnumerable<string> clients, int seed)
    {
        string[] drawn = [.. clients.Order(StringComparer.Ordinal)];
        Seeds.Generator(seed, "attack", 0).Shuffle(drawn);
        return drawn.Take((int)Math.Ceiling(Share * drawn.Length - 1e-9)).ToHashSet(StringComparer.Ordinal);
    }

    /// <summary>The text that an attacker trains on.</summary>
    public int[] Text(int[] tokens, int seed)
    {
        if (Kind != AttackKind.Shuffle)
            return tokens;
        int[] shuffled = [.. tokens];
        Seeds.Generator(seed, "shuffle", 0).Shuffle(shuffled);
        return shuffled;
    }

    /// <summary>The weights that an attacker says it trained.</summary>
    internal ParameterSet Forge(ParameterSet received, ParameterSet trained) => trained.Map((name, after) =>
    {
        double scale = Kind == AttackKind.SignFlip ? -Strength : Strength;
        Tensor forged = new(after.Shape);
        ReadOnlySpan<float> before = received.Tensors[name].Data;
        for (int i = 0; i < before.Length; i++)
            forged.Data[i] = (float)(before[i] + scale * (after.Data[i] - before[i]));
        return forged;
    });

    static Attack Read(Spec spec, AttackKind kind, double strength) => spec.End(new Attack(kind, spec.Number("a share", null, 0, 1), spec.Number("a strength", strength, 0, 1e6)));
}

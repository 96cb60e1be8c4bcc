using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>Turns the channels between a decoder's matrices by random rotations, which spreads what is large in a few of them over all, so that it rounds better and computes what it did (Ashkboos et al. 2024). The model itself is changed.</summary>
public sealed record Rotate : ModelStep
{
    /// <inheritdoc/>
    public override string Key => "rotate";

    /// <summary>Zeros would not stay.</summary>
    public override bool TakesPruned => false;

    /// <summary>Whether the residual stream is turned: norms' gains move into the matrices that read it.</summary>
    public bool Residual { get; init; } = true;

    /// <summary>Whether what values give to attention's output is turned, head by head.</summary>
    public bool Heads { get; init; } = true;

    /// <summary>Which rotations.</summary>
    public RotationKind Kind { get; init; }

    /// <summary>Steps by which the residual stream's rotation is trained for less rounding error; 0 leaves it as it was drawn.</summary>
    public int Train { get; init; }

    /// <summary>Bits of the rounding that it is trained for.</summary>
    public int Bits { get; init; } = 4;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("residual", Residual ? "true" : "false"),
        ("heads", Heads ? "true" : "false"),
        ("kind", Kind == RotationKind.Hadamard ? "hadamard" : "random"),
        ("train", Train.ToString(CultureInfo.InvariantCulture)),
        .. Train > 0 ? [("bits", Bits.ToString(CultureInfo.InvariantCulture))] : Array.Empty<(string, string)>(),
    ];

    // As few steps as tell one's time.
    internal override (ModelStep Step, double Times) PartOn(Model model) => Train <= 2 ? (this, 1) : (this with { Train = 2 }, Train / 2.0);

    internal static Rotate Read(OptionReader options)
    {
        Rotate step = new()
        {
            Residual = options.Choice("residual", true, ("true", true), ("false", false)),
            Heads = options.Choice("heads", true, ("true", true), ("false", false)),
            Kind = options.Choice("kind", RotationKind.Hadamard, ("hadamard", RotationKind.Hadamard), ("random", RotationKind.Random)),
            Train = options.Int("train", 0, 0, 1_000_000),
            Bits = options.Int("bits", 4, 2, 8),
        };
        if (step.Train == 0 && options.Has("bits"))
            throw options.Wrong("bits", "nothing unless train says how many steps");
        if (step.Train > 0 && !step.Residual)
            throw options.Wrong("train", "nothing where residual is false: rotations of heads are not trained");
        return step.Residual || step.Heads ? step : throw options.Wrong("heads", "true where residual is false: nothing would be turned");
    }

    /// <inheritdoc/>
    public override Model Apply(ModelWork work)
    {
        DecoderModel model = work.Model as DecoderModel ?? throw new CoppiceException($"{Key} turns decoders, and this is a {work.Model.Family} model");
        if (Residual)
        {
            ResidualRotation.Check(model);
            Rotation rotation = Drawn(model.Width, work.Random);
            model = ResidualRotation.Apply(model, Train == 0 ? rotation : RotationTraining.Of(model, rotation, this, work), work);
        }
        for (int layer = 0; Heads && layer < model.Blocks.Count; layer++)
        {
            work.Cancel.ThrowIfCancellationRequested();
            Attention attention = model.Blocks[layer].Attention;
            Rotation ofHeads = Drawn(attention.HeadWidth, work.Random);
            // Heads that share values, and all heads of a layer, are turned alike.
            TurnedMatrix.TurnOutputs(work.Pool, attention.Value, ofHeads);
            attention.Output.Weight = TurnedMatrix.OfInputs(work.Pool, attention.Output.Weight, ofHeads, []);
        }
        return model;
    }

    Rotation Drawn(int width, Random random) => Kind == RotationKind.Hadamard ? Rotation.Hadamard(width, random) : Rotation.Any(width, random);
}

/// <summary>Which rotations are drawn.</summary>
public enum RotationKind
{
    /// <summary>A Hadamard matrix with random signs; where the width is no power of two, times a random orthogonal matrix of its odd part.</summary>
    Hadamard,

    /// <summary>Any orthogonal matrix.</summary>
    Random,
}

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

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
        [("residual", Residual ? "true" : "false"), ("heads", Heads ? "true" : "false"), ("kind", Kind == RotationKind.Hadamard ? "hadamard" : "random")];

    internal static Rotate Read(OptionReader options)
    {
        Rotate step = new()
        {
            Residual = options.Choice("residual", true, ("true", true), ("false", false)),
            Heads = options.Choice("heads", true, ("true", true), ("false", false)),
            Kind = options.Choice("kind", RotationKind.Hadamard, ("hadamard", RotationKind.Hadamard), ("random", RotationKind.Random)),
        };
        return step.Residual || step.Heads ? step : throw options.Wrong("heads", "true where residual is false: nothing would be turned");
    }

    /// <inheritdoc/>
    public override Model Apply(ModelWork work)
    {
        DecoderModel model = work.Model as DecoderModel ?? throw new CoppiceException($"{Key} turns decoders, and this is a {work.Model.Family} model");
        if (Residual)
            model = ResidualRotation.Apply(model, Drawn(model.Width, work.Random), work);
        for (int layer = 0; Heads && layer < model.Blocks.Count; layer++)
        {
            work.Cancel.ThrowIfCancellationRequested();
            Attention attention = model.Blocks[layer].Attention;
            Rotation rotation = Drawn(attention.HeadWidth, work.Random);
            // Heads that share values, and all heads of a layer, are turned alike.
            TurnedMatrix.TurnOutputs(work.Pool, attention.Value, rotation);
            attention.Output.Weight = TurnedMatrix.OfInputs(work.Pool, attention.Output.Weight, rotation, []);
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

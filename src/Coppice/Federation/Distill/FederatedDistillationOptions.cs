using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation.Distill;

/// <summary>How clients with models of their own learn from one another.</summary>
public sealed record FederatedDistillationOptions
{
    /// <summary>Rounds; after the last one clients train towards what was agreed on once more.</summary>
    public int Rounds { get; init; } = 5;

    /// <summary>Windows of the public text a round, drawn anew.</summary>
    public int PublicWindows { get; init; } = 16;

    /// <summary>Optimizer steps a round towards what was agreed on.</summary>
    public int DigestSteps { get; init; } = 8;

    /// <summary>Optimizer steps a round on a client's own text.</summary>
    public int LocalSteps { get; init; } = 4;

    /// <summary>What logits are divided by where clients train towards them.</summary>
    public double Temperature { get; init; } = 2;

    /// <summary>Draws public windows and who does not answer.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The probability that a client does not answer in a round (simulation).</summary>
    public double Dropout { get; init; }

    /// <summary>Windows over which a client measures its loss.</summary>
    public int EvaluationWindows { get; init; } = 8;

    /// <summary>Local training; its steps are not used.</summary>
    public TrainingOptions Training { get; init; } = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 1, BatchSize = 8 };

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Check(Rounds >= 1, "rounds", Rounds, "1 or more");
        Check(PublicWindows >= 1, "public windows", PublicWindows, "1 or more");
        Check(DigestSteps >= 1, "digest steps", DigestSteps, "1 or more");
        Check(LocalSteps >= 0, "local steps", LocalSteps, "0 or more");
        Check(Temperature > 0 && double.IsFinite(Temperature), "temperature", Temperature, "above 0");
        Check(Dropout is >= 0 and < 1, "dropout", Dropout, "0 to 1, exclusive");
        Check(EvaluationWindows >= 1, "evaluation windows", EvaluationWindows, "1 or more");
        Training.Validate();

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException(FormattableString.Invariant($"Federation: {name} is {value}, wanted {wanted}"));
        }
    }
}

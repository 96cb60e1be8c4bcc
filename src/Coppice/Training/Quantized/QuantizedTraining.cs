using System.Collections.Immutable;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Training.Quantized;

/// <summary>The step that a group begins with; its zero point, where it has one, is that of its range.</summary>
public enum StepStart
{
    /// <summary>That whose rounding has the least squared error.</summary>
    SquaredError,

    /// <summary>Twice the mean size of its weights over the root of the codes above the middle, as in the paper.</summary>
    MeanSize,
}

/// <summary>Trains some matrices as the integers that they become: rounded on the way forward, the gradient straight through, their steps learned (Esser et al. 2020). At the end they are stored as that.</summary>
public sealed record QuantizedTraining
{
    /// <summary>Full names, without <c>.weight</c>, of matrices of the model; none means all of the blocks.</summary>
    public ImmutableArray<string> Matrices { get; init; } = [];

    /// <summary>Bits a code, 2 to 8.</summary>
    public int Bits { get; init; } = 4;

    /// <summary>Inputs that share a step; they divide the matrix's inputs. <see cref="IntWeight.WholeRow"/>: all of a row.</summary>
    public int GroupSize { get; init; } = 128;

    /// <summary>Whether zero is the middle code; otherwise each group's zero point stays that of its range before training.</summary>
    public bool Symmetric { get; init; } = true;

    /// <summary>What steps are before they learn.</summary>
    public StepStart Start { get; init; }

    /// <summary>Deviation, in steps, of Gaussian noise that is added to weights before each rounding, the last included; 0 adds none.</summary>
    public double Noise { get; init; }

    /// <summary>Each rounding, the last included, multiplies each step by a factor drawn from 1 - jitter to 1 + jitter; 0 leaves them.</summary>
    public double Jitter { get; init; }

    internal void Validate()
    {
        Check(Bits is >= 2 and <= 8, "bits", Bits, "2 to 8");
        Check(GroupSize is IntWeight.WholeRow or >= 1, "group size", GroupSize, $"1 or more, or {IntWeight.WholeRow} for whole rows");
        Check(Noise >= 0 && double.IsFinite(Noise), "noise", Noise, "0 or more");
        Check(Jitter is >= 0 and < 1, "jitter", Jitter, "0 to 1, exclusive");

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException($"Quantization in training: {name} is {value}, wanted {wanted}");
        }
    }
}

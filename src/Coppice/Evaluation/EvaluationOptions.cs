using Coppice.Weights;

namespace Coppice.Evaluation;

/// <summary>How scoring uses the machine. Of what is here only <see cref="Activations"/> changes a score, whose signature names it.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Windows are read together up to this many tokens; a longer window is read alone.</summary>
    public int TokensPerPass { get; init; } = 1024;

    /// <summary>Logits of this many tokens are held at once.</summary>
    public int LogitRows { get; init; } = 256;

    /// <summary>What matrices may round their inputs to: <see cref="ActivationFormat.Int8"/> measures a model as it is generated with by default.</summary>
    public ActivationFormat Activations { get; init; }
}

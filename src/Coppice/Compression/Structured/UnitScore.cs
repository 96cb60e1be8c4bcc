namespace Coppice.Compression.Structured;

/// <summary>What tells how much a neuron, a head or a channel matters.</summary>
public enum UnitScore
{
    /// <summary>The norm of the unit's contribution to what reads it: its activations' mean square times the squares of the weights that they meet.</summary>
    ActivationNorm,

    /// <summary>The same of what changes from token to token: the variance in place of the mean square (An et al. 2024).</summary>
    ActivationVariance,

    /// <summary>What the loss changes by to first order if the unit goes: the mean over batches of the square of its activations times their gradients (Molchanov et al. 2019).</summary>
    Taylor,

    /// <summary>The norm of all the unit's weights together (Ma et al. 2023); needs no text.</summary>
    WeightNorm,

    /// <summary>By lot: the floor that every other score must beat.</summary>
    Random,
}

/// <summary>The scores' names in YAML.</summary>
static class UnitScores
{
    static readonly (string Word, UnitScore Value)[] words =
        [("activationNorm", UnitScore.ActivationNorm), ("activationVariance", UnitScore.ActivationVariance), ("taylor", UnitScore.Taylor), ("weightNorm", UnitScore.WeightNorm), ("random", UnitScore.Random)];

    public static UnitScore Read(OptionReader options) => options.Choice("score", UnitScore.ActivationNorm, words);

    public static string NameOf(UnitScore score) => Array.Find(words, word => word.Value == score).Word;

    public static bool ReadsText(UnitScore score) => score is UnitScore.ActivationNorm or UnitScore.ActivationVariance or UnitScore.Taylor;
}

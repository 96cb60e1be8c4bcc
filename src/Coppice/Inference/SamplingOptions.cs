using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>How the next token is chosen. The filters apply in this order: temperature, <see cref="TopK"/>, <see cref="TopP"/>.</summary>
public sealed record SamplingOptions
{
    /// <summary>Logits are divided by it; 0 takes the likeliest token always (greedy).</summary>
    public float Temperature { get; init; }

    /// <summary>Only this many of the likeliest tokens stay (Fan et al. 2018); 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the fewest likeliest tokens that together reach this probability stay (Holtzman et al. 2020); 1 keeps all.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Throws with the first setting that cannot be.</summary>
    /// <exception cref="CoppiceException">A setting lies outside its range.</exception>
    public void Validate()
    {
        if (!(Temperature >= 0) || !float.IsFinite(Temperature))
            throw new CoppiceException($"Sampling: temperature {Temperature}, wanted 0 (greedy) or more");
        if (TopK < 0)
            throw new CoppiceException($"Sampling: top-k {TopK}, wanted 0 (all) or more");
        if (!(TopP > 0 && TopP <= 1))
            throw new CoppiceException($"Sampling: top-p {TopP}, wanted more than 0 and at most 1");
    }
}

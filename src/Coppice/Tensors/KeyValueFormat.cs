namespace Coppice.Tensors;

/// <summary>How a cache keeps keys and values.</summary>
public enum KeyValueFormat
{
    /// <summary>As they were computed: 4 bytes a number.</summary>
    Float32,

    /// <summary>IEEE half: 2 bytes a number.</summary>
    Float16,

    /// <summary>-127 to 127 times a float32 scale for each token and head: a byte a number.</summary>
    Int8,

    /// <summary>5 bits a number, scales included: keys in groups of 32 tokens of a channel, values in groups of 32 numbers of a token, each from its smallest number up in 15 steps; the newest group of tokens as halves (KIVI, Liu et al. 2024).</summary>
    Int4,

    /// <summary>-7 to 7 times a float32 scale for each token and head: half a byte a number.</summary>
    Int4Token,
}

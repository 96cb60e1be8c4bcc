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
}

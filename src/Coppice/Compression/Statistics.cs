namespace Coppice.Compression;

/// <summary>What a step has to know about a matrix's inputs; each kind includes those before it.</summary>
public enum Statistics
{
    /// <summary>Nothing: no calibration text is wanted.</summary>
    None,

    /// <summary>The mean square of every input channel.</summary>
    ColumnNorms,

    /// <summary>The mean of x^T x over all tokens.</summary>
    Gram,
}

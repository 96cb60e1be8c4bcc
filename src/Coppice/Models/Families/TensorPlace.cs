namespace Coppice.Models.Families;

/// <summary>Where a container keeps one of our tensors.</summary>
/// <param name="Name">The container's name.</param>
readonly record struct TensorPlace(string Name)
{
    /// <summary>The stored rows that are ours, in our order; all as they are where null.</summary>
    public int[]? Rows { get; init; }

    /// <summary>Rows of the stored tensor, where <see cref="Rows"/> says which are ours.</summary>
    public int StoredRows { get; init; }

    /// <summary>Whether a matrix is stored [inputs, outputs].</summary>
    public bool IsTransposed { get; init; }

    /// <summary>What our numbers are larger by than those stored: 1 for gains that are kept as distances from one.</summary>
    public float Added { get; init; }

    /// <summary>The stored tensor's shape where it does not follow from ours: matrices stacked along an axis of their own, a row that is a vector.</summary>
    public int[]? StoredShape { get; init; }

    /// <summary>Rows <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> - 1 of a tensor that holds several of ours.</summary>
    public TensorPlace Part(int first, int count, int of) => this with { Rows = [.. Enumerable.Range(first, count)], StoredRows = of };
}

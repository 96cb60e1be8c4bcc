using System.Collections;
using System.Runtime.CompilerServices;

namespace Coppice.Tensors;

/// <summary>The sizes of a tensor's axes, outermost first: <c>[batch, time, channels]</c>. One to four axes.</summary>
[CollectionBuilder(typeof(Shape), nameof(Create))]
public readonly struct Shape : IEquatable<Shape>, IEnumerable<int>
{
    readonly int a, b, c, d;

    Shape(ReadOnlySpan<int> sizes)
    {
        if (sizes.Length is < 1 or > 4)
            throw new ArgumentException($"Shape: {sizes.Length} axes, wanted 1 to 4");
        foreach (int size in sizes)
            if (size < 0)
                throw new ArgumentException($"Shape: an axis of {size}, wanted 0 or more");
        Rank = sizes.Length;
        a = sizes[0];
        b = Rank > 1 ? sizes[1] : 1;
        c = Rank > 2 ? sizes[2] : 1;
        d = Rank > 3 ? sizes[3] : 1;
        long length = (long)a * b;
        length = length <= int.MaxValue ? length * c : long.MaxValue;
        length = length <= int.MaxValue ? length * d : long.MaxValue;
        if (length > int.MaxValue)
            throw new ArgumentException($"Shape: {this} has more than {int.MaxValue:N0} elements");
        Length = (int)length;
    }

    /// <summary>A shape from a collection expression.</summary>
    public static Shape Create(ReadOnlySpan<int> sizes) => new(sizes);

    /// <summary>How many axes there are, 1 to 4.</summary>
    public int Rank { get; }

    /// <summary>How many elements a tensor of this shape has.</summary>
    public int Length { get; }

    /// <summary>The size of the innermost axis.</summary>
    public int Columns => this[Rank - 1];

    /// <summary>All axes but the innermost, multiplied.</summary>
    public int Rows => Columns == 0 ? 0 : Length / Columns;

    /// <summary>The size of an axis, counted from the outermost.</summary>
    public int this[int axis] => (uint)axis >= (uint)Rank
        ? throw new ArgumentOutOfRangeException(nameof(axis), $"Shape: axis {axis} of {this}")
        : axis switch { 0 => a, 1 => b, 2 => c, _ => d };

    /// <inheritdoc/>
    public bool Equals(Shape other) => Rank == other.Rank && a == other.a && b == other.b && c == other.c && d == other.d;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Rank, a, b, c, d);

    /// <summary>Whether both have the same axes.</summary>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Whether an axis differs.</summary>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    /// <inheritdoc/>
    public override string ToString() => Rank switch
    {
        1 => $"[{a}]",
        2 => $"[{a}, {b}]",
        3 => $"[{a}, {b}, {c}]",
        _ => $"[{a}, {b}, {c}, {d}]",
    };

    /// <summary>The sizes, outermost first.</summary>
    public IEnumerator<int> GetEnumerator()
    {
        for (int axis = 0; axis < Rank; axis++)
            yield return this[axis];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

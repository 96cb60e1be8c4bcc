using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>An integer matrix to be written in parts.</summary>
/// <param name="Module">The layer's name.</param>
/// <param name="Weight">Codes, scales and zero points.</param>
/// <param name="Order">The input that each stored column belongs to, or null where they are in order.</param>
sealed record IntegerMatrix(string Module, IntWeight Weight, int[]? Order)
{
    /// <summary>The entry's integers, in order or not; null where it is another kind of matrix, or none. 2:4 integers are given with their zeros.</summary>
    /// <exception cref="CoppiceException">It is an integer matrix whose name does not end in <c>.weight</c>.</exception>
    public static IntegerMatrix? Find(CheckpointEntry entry, string format)
    {
        Weight? whole = entry.Weight is null ? null : DeferredWeight.Made(entry.Weight);
        PermutedWeight? permuted = whole as PermutedWeight;
        Weight? stored = permuted?.Stored ?? whole;
        IntWeight? weight = stored as IntWeight ?? (stored as TwoFourIntWeight)?.ToInt();
        return weight is null ? null : new IntegerMatrix(ModuleOf(entry, format), weight, permuted?.Order.ToArray());
    }

    /// <summary>The layer that a matrix belongs to.</summary>
    public static string ModuleOf(CheckpointEntry entry, string format) => entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal)
        ? entry.Name[..^QuantizedCheckpoint.WeightSuffix.Length]
        : throw new CoppiceException($"{format}: a {entry.Weight!.Kind} matrix is named '{entry.Name}', wanted a name that ends in {QuantizedCheckpoint.WeightSuffix}");

    /// <summary>Packed codes of rows, inputs in their own order; made when they are asked for.</summary>
    public ReadOnlyMemory<uint> Words => Order is null ? Weight.Words : ActOrder.Gather(Weight.Words, Weight.Bits, Weight.Rows, ActOrder.Inverse(Order));

    /// <summary>Zero points [outputs, groups], those of a symmetric matrix as well.</summary>
    public byte[] Zeros()
    {
        byte[] zeros = new byte[Weight.Rows * Weight.GroupsPerRow];
        if (Weight.IsSymmetric)
            Array.Fill(zeros, (byte)Weight.Middle);
        else
            Weight.Zeros.CopyTo(zeros);
        return zeros;
    }

    /// <summary>Throws unless rows are whole groups.</summary>
    public void CheckGroups(string format)
    {
        if (Weight.GroupSize != IntWeight.WholeRow && Weight.Columns % Weight.GroupSize != 0)
            throw Error(format, $"has rows of {Weight.Columns} numbers, wanted a multiple of the group size {Weight.GroupSize}");
    }

    /// <summary>Throws unless scales are halves.</summary>
    public void CheckScales(string format)
    {
        if (Weight.HasWideScales)
            throw Error(format, "has scales that are no halves, wanted halves");
    }

    /// <summary>A failure that names the layer.</summary>
    public CoppiceException Error(string format, string message) => new($"{format}: '{Module}' {message}");
}

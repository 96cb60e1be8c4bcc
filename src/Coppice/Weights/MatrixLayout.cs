using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Matrices put together, or turned, without changing a number. What lies in a file stays there until its numbers are asked for.</summary>
static class MatrixLayout
{
    /// <summary>The rows of all parts, one part below another. All are of one kind: plain numbers, pruned or not, integers in equal groups, or blocks.</summary>
    /// <exception cref="CoppiceException">They are of different kinds, or of one that cannot be put together.</exception>
    public static Weight Stack(IReadOnlyList<Weight> parts)
    {
        if (parts.Count == 1)
            return parts[0];
        if (parts.Any(part => !part.IsInMemory))
            return new DeferredWeight(parts.Sum(part => part.Rows), parts[0].Columns, () => StackMade([.. parts.Select(DeferredWeight.Made)]));
        return StackMade(parts);
    }

    static Weight StackMade(IReadOnlyList<Weight> parts)
    {
        // Where some are pruned and some are not, all are the halves that they stand for.
        if (parts.Any(part => part.Kind != parts[0].Kind) && parts.All(part => part is SparseWeight or TwoFourWeight or HalfWeight { Format: HalfFormat.Float16 }))
            parts = [.. parts.Select(part => part as HalfWeight ?? HalfWeight.From(HalfFormat.Float16, part.Rows, part.Columns, part.ToDense()))];
        Weight first = parts[0];
        if (parts.FirstOrDefault(part => part.Kind != first.Kind || part.Columns != first.Columns) is { } other)
            throw new CoppiceException($"matrices of kinds {first.Kind} and {other.Kind} are stored as one here, and have to be of one kind");
        if (parts.All(part => !part.IsInMemory))
            return new SpreadWeight(new StackedWeight(parts), FormatOf(first.Kind));
        return first.StackWith(parts) ?? Plain(first.Kind, parts.Sum(part => part.Rows), first.Columns, Concat(parts))
            ?? throw new CoppiceException($"matrices of kind {first.Kind} are stored as one here, which this kind cannot be");
    }

    /// <summary>[outputs, inputs] as [inputs, outputs]; packed numbers, whose groups cannot be turned, as the float32 that they stand for.</summary>
    public static Weight Transpose(Weight weight)
    {
        if (!weight.IsInMemory)
            return new DeferredWeight(weight.Columns, weight.Rows, () => Transpose(InMemory(weight)));
        float[] from = weight.ToDense(), to = new float[from.Length];
        for (int row = 0; row < weight.Rows; row++)
            for (int column = 0; column < weight.Columns; column++)
                to[column * weight.Rows + row] = from[row * weight.Columns + column];
        return Plain(weight.Kind, weight.Columns, weight.Rows, to) ?? new DenseWeight(Tensor.From([weight.Columns, weight.Rows], to));
    }

    /// <summary>Some of the inputs, in the order of <paramref name="columns"/>.</summary>
    /// <exception cref="CoppiceException">The matrix is no plain numbers.</exception>
    public static Weight TakeColumns(Weight weight, int[] columns)
    {
        return weight.IsInMemory ? Taken(weight) : new DeferredWeight(weight.Rows, columns.Length, () => Taken(DeferredWeight.Made(weight)));

        Weight Taken(Weight from)
        {
            float[] taken = new float[from.Rows * columns.Length], row = new float[from.Columns];
            for (int i = 0; i < from.Rows; i++)
            {
                from.Unpack(i, row);
                for (int j = 0; j < columns.Length; j++)
                    taken[i * columns.Length + j] = row[columns[j]];
            }
            return Plain(from.Kind, from.Rows, columns.Length, taken) ?? throw new CoppiceException($"a matrix of kind {from.Kind} cannot lose inputs; only plain numbers can");
        }
    }

    /// <summary>The same matrix with <paramref name="edit"/> made to each row; rounded to its kind again.</summary>
    /// <exception cref="CoppiceException">The matrix is no plain numbers.</exception>
    public static Weight Changed(Weight weight, RowEdit edit) => DeferredWeight.Changed(weight, made =>
    {
        float[] numbers = made.ToDense();
        for (int start = 0; start < numbers.Length; start += made.Columns)
            edit(numbers.AsSpan(start, made.Columns));
        return Plain(made.Kind, made.Rows, made.Columns, numbers) ?? throw new CoppiceException($"a matrix of kind {made.Kind} cannot change; only plain numbers can");
    });

    /// <summary>Changes a row in place.</summary>
    public delegate void RowEdit(Span<float> row);

    /// <summary>The same matrix at hand, read where it lies in a file; plain numbers keep their type.</summary>
    public static Weight InMemory(Weight weight)
    {
        Weight made = DeferredWeight.Made(weight);
        return made.IsInMemory ? made : Plain(made.Kind, made.Rows, made.Columns, made.ToDense())!;
    }

    static float[] Concat(IReadOnlyList<Weight> parts)
    {
        float[] all = new float[parts.Sum(part => part.Shape.Length)];
        int at = 0;
        foreach (Weight part in parts)
        {
            part.Unpack(0, all.AsSpan(at, part.Shape.Length));
            at += part.Shape.Length;
        }
        return all;
    }

    static HalfFormat? FormatOf(string kind) => kind switch { "f16" => HalfFormat.Float16, "bf16" => HalfFormat.BFloat16, _ => null };

    /// <summary>Plain numbers as a matrix of a kind; null where the kind is not plain.</summary>
    internal static Weight? Plain(string kind, int rows, int columns, float[] numbers) => kind switch
    {
        "f32" => new DenseWeight(Tensor.From([rows, columns], numbers)),
        "f16" => HalfWeight.From(HalfFormat.Float16, rows, columns, numbers),
        "bf16" => HalfWeight.From(HalfFormat.BFloat16, rows, columns, numbers),
        // Two of four neighbours are no longer so where inputs and outputs are exchanged, or inputs go.
        "sparse-f16" or "2:4-f16" => SparseWeight.From(rows, columns, numbers),
        _ => null,
    };
}

namespace Coppice.Tensors.Simd;

/// <summary>How the inner dimension of an operand lies in memory.</summary>
internal enum Inner
{
    /// <summary>Side by side: A as it is, or B transposed.</summary>
    Contiguous,

    /// <summary>A row apart: B as it is, or A transposed.</summary>
    Strided,
}

/// <summary>One side of a product: its outer dimension (rows of op(A), columns of op(B)) and the inner one.</summary>
internal readonly unsafe struct Operand(float* data, int stride, Inner inner)
{
    readonly float* data = data;

    /// <summary>The operand from an outer and an inner index on.</summary>
    public Operand From(int outer, int step) =>
        new(inner == Inner.Contiguous ? data + (nint)outer * stride + step : data + (nint)step * stride + outer, stride, inner);

    /// <summary>Packs <paramref name="count"/> outer by <paramref name="k"/> inner elements into panels of <paramref name="width"/>.</summary>
    public void Pack(int count, int k, int width, float* panels)
    {
        if (inner == Inner.Contiguous)
            Packing.Rows(data, stride, count, k, width, panels);
        else
            Packing.Columns(data, stride, count, k, width, panels);
    }
}

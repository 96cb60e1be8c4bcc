namespace Coppice.Tensors;

/// <summary>Contiguous float32 numbers with a shape, row-major. A leaf that asks for a gradient keeps it in <see cref="Grad"/>.</summary>
public sealed class Tensor
{
    const int LineFloats = 16;

    readonly float[] memory;
    readonly int start;

    /// <summary>A tensor of zeros.</summary>
    public Tensor(Shape shape)
    {
        Shape = shape;
        // Pinned, so that a kernel's pointers hold while other threads work, and from a cache line's start: a vector then never lies across two.
        memory = GC.AllocateArray<float>(checked(shape.Length + LineFloats - 1), pinned: true);
        start = Aligned(memory);
    }

    /// <summary>A tensor with a copy of <paramref name="values"/>, row-major.</summary>
    public static Tensor From(Shape shape, ReadOnlySpan<float> values)
    {
        if (values.Length != shape.Length)
            throw new ArgumentException($"Tensor: {values.Length} values for {shape}, wanted {shape.Length}");
        Tensor tensor = new(shape);
        values.CopyTo(tensor.Data);
        return tensor;
    }

    /// <summary>The sizes of the axes.</summary>
    public Shape Shape { get; private set; }

    /// <summary>The numbers, row-major.</summary>
    public Span<float> Data => memory.AsSpan(start, Shape.Length);

    /// <summary>The numbers of a run of rows.</summary>
    internal Span<float> Rows(Sequence rows) => Data.Slice(rows.Start * Shape.Columns, rows.Length * Shape.Columns);

    /// <summary>d(loss)/d(this), of the same shape, after <see cref="Tape.Backward"/>; null where none is wanted.</summary>
    public Tensor? Grad { get; private set; }

    /// <summary>Whether a backward pass fills <see cref="Grad"/>.</summary>
    public bool RequiresGrad => Grad is not null;

    /// <summary>Counts the changes that <see cref="MarkChanged"/> told of, so that whoever keeps a repacked copy knows when it is stale.</summary>
    public int Version { get; private set; }

    /// <summary>Says that <see cref="Data"/> was written to after first use.</summary>
    public void MarkChanged() => Version++;

    /// <summary>Makes this a leaf that collects a gradient, at first zero.</summary>
    public void TrackGradient() => Grad ??= new Tensor(Shape);

    /// <summary>Stops collecting a gradient and frees it.</summary>
    public void DropGradient() => Grad = null;

    internal int Capacity => memory.Length - (LineFloats - 1);

    internal void Reuse(Shape shape, Tensor? grad)
    {
        Shape = shape;
        Grad = grad;
    }

    static unsafe int Aligned(float[] pinned)
    {
        nint address = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(pinned));
        return (int)(-address & (LineFloats * sizeof(float) - 1)) / sizeof(float);
    }
}

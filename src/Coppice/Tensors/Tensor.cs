using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>Contiguous float32 numbers with a shape, row-major. A leaf that asks for a gradient keeps it in <see cref="Grad"/>.</summary>
public sealed class Tensor
{
    const int LineFloats = 16;

    readonly float[] memory;
    readonly int start;
    Tensor? grad;
    bool forgotten;

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
    public Tensor? Grad
    {
        get
        {
            if (forgotten)
            {
                forgotten = false;
                grad!.Data.Clear();
            }
            return grad;
        }
    }

    /// <summary>Whether a backward pass fills <see cref="Grad"/>.</summary>
    public bool RequiresGrad => grad is not null;

    /// <summary>The gradient for an operation that writes all of it: over whatever is there where it is the first to do so, which spares zeros and reading them.</summary>
    internal Span<float> ClaimGradient(out Accumulate mode)
    {
        mode = forgotten ? Accumulate.Overwrite : Accumulate.Add;
        forgotten = false;
        return grad!.Data;
    }

    /// <summary>Makes the gradient zero when it is next asked for.</summary>
    internal void ForgetGradient() => forgotten = grad is not null;

    /// <summary>Makes <see cref="Data"/> its own gradient, where an operation leaves that in place of the numbers it used up.</summary>
    internal void TurnIntoGradient() => (grad, forgotten) = (this, false);

    /// <summary>Counts the changes that <see cref="MarkChanged"/> told of, so that whoever keeps a repacked copy knows when it is stale.</summary>
    public int Version { get; private set; }

    /// <summary>Says that <see cref="Data"/> was written to after first use.</summary>
    public void MarkChanged() => Version++;

    /// <summary>Makes this a leaf that collects a gradient, at first zero.</summary>
    public void TrackGradient() => grad ??= new Tensor(Shape);

    /// <summary>Stops collecting a gradient and frees it.</summary>
    public void DropGradient() => (grad, forgotten) = (null, false);

    internal int Capacity => memory.Length - (LineFloats - 1);

    internal void Reuse(Shape shape, Tensor? grad)
    {
        Shape = shape;
        this.grad = grad;
        forgotten = grad is not null;
    }

    /// <summary>Makes another's gradient this one's too.</summary>
    internal void ShareGradient(Tensor other) => (grad, forgotten) = (other.Grad, false);


    static unsafe int Aligned(float[] pinned)
    {
        nint address = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(pinned));
        return (int)(-address & (LineFloats * sizeof(float) - 1)) / sizeof(float);
    }
}

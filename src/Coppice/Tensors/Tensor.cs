using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>Contiguous float32 numbers with a shape, row-major. A leaf that asks for a gradient keeps it in <see cref="Grad"/>.</summary>
public sealed class Tensor
{
    // The numbers; where the way back alone reads them again they may lie in narrow instead, as bfloat16.
    PinnedFloats? memory, narrow;

    // Where a result on a tape has its memory from, for as long as it needs it, and the threads that widen it; null otherwise.
    FreeList? lender;
    WorkerPool? pool;

    Tensor? grad, room;
    bool forgotten;

    Tensor()
    {
    }

    /// <summary>A tensor of zeros.</summary>
    public Tensor(Shape shape)
    {
        Shape = shape;
        memory = new PinnedFloats(shape.Length);
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

    /// <summary>A result on a tape, before its first pass.</summary>
    internal static Tensor Unlent() => new();

    /// <summary>The sizes of the axes.</summary>
    public Shape Shape { get; private set; }

    /// <summary>The numbers, row-major. Those of a result on a tape are there until the way back has passed it.</summary>
    public Span<float> Data => (memory ?? Widened()).First(Shape.Length);

    /// <summary>The numbers of a run of rows.</summary>
    internal Span<float> Rows(Sequence rows) => Data.Slice(rows.Start * Shape.Columns, rows.Length * Shape.Columns);

    /// <summary>d(loss)/d(this), of the same shape, after <see cref="Tape.Backward"/> where this is a leaf; null where none is wanted.</summary>
    public Tensor? Grad
    {
        get
        {
            if (forgotten)
            {
                forgotten = false;
                Gradient().Data.Clear();
            }
            return grad;
        }
    }

    /// <summary>Whether a backward pass fills <see cref="Grad"/>.</summary>
    public bool RequiresGrad => forgotten || grad is not null;

    /// <summary>The gradient for an operation that writes all of it: over whatever is there where it is the first to do so, which spares zeros and reading them.</summary>
    internal Span<float> ClaimGradient(out Accumulate mode)
    {
        mode = forgotten ? Accumulate.Overwrite : Accumulate.Add;
        forgotten = false;
        return Gradient().Data;
    }

    /// <summary>Makes the gradient zero when it is next asked for.</summary>
    internal void ForgetGradient() => forgotten = RequiresGrad;

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

    internal int Capacity => memory?.Length ?? 0;

    internal void Reuse(Shape shape) => Shape = shape;

    /// <summary>Makes this a result on a tape: its gradient, when an operation first writes it, comes from where its numbers come from.</summary>
    internal void Lend(Shape shape, FreeList lender, WorkerPool pool)
    {
        (Shape, this.lender, this.pool, forgotten) = (shape, lender, pool, true);
        memory = lender.Take(shape.Length);
    }

    /// <summary>Gives a result's numbers back, which no operation reads again; those of any other tensor stay.</summary>
    internal void GiveBackNumbers()
    {
        if (lender is null)
            return;
        GiveBack(ref memory);
        GiveBack(ref narrow);
    }

    /// <summary>Gives numbers and gradient of a result back.</summary>
    internal void GiveBack()
    {
        if (grad is not null && grad != this)
            GiveBack(ref grad.memory);
        GiveBackNumbers();
        DropGradient();
    }

    /// <summary>Keeps a result's numbers as bfloat16 until they are next read; those of any other tensor stay.</summary>
    internal void Narrow()
    {
        if (lender is null || memory is null)
            return;
        narrow ??= lender.Take((Shape.Length + 1) / 2);
        BFloat16.Narrow(pool!, Data, narrow.Halves(Shape.Length));
        GiveBack(ref memory);
    }

    /// <summary>Hands a gradient that is needed no more here to a result that has none yet, and says whether that was so.</summary>
    internal bool TryMoveGradient(Tensor to)
    {
        if (to.lender is null || !to.forgotten || Grad is not { } full || full == this || lender is null)
            return false;
        to.forgotten = false;
        to.Gradient(full.memory);
        (full.memory, grad) = (null, null);
        return true;
    }

    Tensor Gradient(PinnedFloats? filled = null)
    {
        if (grad is null)
        {
            grad = room ??= new Tensor();
            grad.Shape = Shape;
            grad.memory = filled ?? lender!.Take(Shape.Length);
        }
        return grad;
    }

    PinnedFloats Widened()
    {
        if (narrow is null)
            throw new InvalidOperationException($"Tensor: the numbers of {Shape} were given back");
        memory = lender!.Take(Shape.Length);
        BFloat16.Widen(pool!, narrow.Halves(Shape.Length), memory.First(Shape.Length));
        return memory;
    }

    void GiveBack(ref PinnedFloats? held)
    {
        if (held is not null)
            lender!.Give(held);
        held = null;
    }
}

namespace Coppice.Tensors;

/// <summary>What an operation works with: threads, memory for its result and, in training, the tape. Used by one pass at a time.</summary>
public class ComputeContext(WorkerPool pool, Arena arena, Tape? tape = null)
{
    /// <summary>The threads that share the work.</summary>
    public WorkerPool Pool { get; } = pool;

    /// <summary>Where results live until the pass is over.</summary>
    public Arena Arena { get; } = arena;

    /// <summary>Where operations record themselves, or null when no gradient is wanted.</summary>
    public Tape? Tape { get; } = tape;

    /// <summary>A tensor for a result; with <paramref name="differentiable"/> true it has a gradient, zero until an operation writes it.</summary>
    internal Tensor Result(Shape shape, bool differentiable) => differentiable ? Arena.RentResult(shape, Pool) : Arena.Rent(shape);

    /// <summary>Whether an operation on <paramref name="input"/> has to be recorded.</summary>
    internal bool Records(Tensor input) => Tape is not null && input.RequiresGrad;

    /// <summary>Ends the pass: everything it lent is taken back.</summary>
    public void Reset()
    {
        Tape?.Clear();
        Arena.Reset();
    }
}

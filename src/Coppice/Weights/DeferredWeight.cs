using Coppice.Weights.Blocks;

namespace Coppice.Weights;

/// <summary>A matrix that is made when it is asked for and not kept, so that a model of any size can be gone through with memory for its largest matrix.</summary>
/// <param name="rows">Outputs.</param>
/// <param name="columns">Inputs.</param>
/// <param name="make">Reads or computes the matrix, the same every time.</param>
/// <param name="format">The blocks that it is made of, where that is known beforehand.</param>
public sealed class DeferredWeight(int rows, int columns, Func<Weight> make, BlockFormat? format = null) : Weight(rows, columns)
{
    // Numbers of matrices after which what was made before is worth a collection: it is garbage by then, and the collector is in no hurry.
    const long CollectAfter = 32 << 20;

    static long sinceCollection;

    readonly WeakReference<Weight?> last = new(null);
    (string Kind, long ByteCount)? facts;

    /// <summary>The matrix; made again once nobody holds the last one any more.</summary>
    public Weight Make()
    {
        if (last.TryGetTarget(out Weight? made))
            return made;
        if (Interlocked.Add(ref sinceCollection, (long)Rows * Columns) >= CollectAfter)
        {
            Interlocked.Exchange(ref sinceCollection, 0);
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: true);
        }
        made = make();
        if (made.Shape != Shape)
            throw new InvalidOperationException($"DeferredWeight: {made.Shape} was made, wanted {Shape}");
        last.SetTarget(made);
        facts = (made.Kind, made.ByteCount);
        return made;
    }

    /// <summary>A matrix of which it is known that it will be like another.</summary>
    internal static DeferredWeight Like(Weight weight, Func<Weight> make) => new(weight.Rows, weight.Columns, make) { facts = (weight.Kind, weight.ByteCount) };

    /// <summary>What a matrix is once it is made; itself where nothing is deferred.</summary>
    public static Weight Made(Weight weight) => weight is DeferredWeight deferred ? deferred.Make() : weight;

    /// <summary>What <paramref name="change"/> makes of a matrix of the same shape, now or, where it lies in a file, when it is asked for.</summary>
    public static Weight Changed(Weight weight, Func<Weight, Weight> change) =>
        weight.IsInMemory ? change(weight) : new DeferredWeight(weight.Rows, weight.Columns, () => change(Made(weight)));

    /// <inheritdoc/>
    public override bool IsInMemory => false;

    /// <inheritdoc/>
    /// <remarks>The first time the matrix may be made to be looked at.</remarks>
    public override string Kind => format?.Name ?? Facts.Kind;

    /// <inheritdoc/>
    /// <remarks>The first time the matrix may be made to be looked at.</remarks>
    public override long ByteCount => format is null ? Facts.ByteCount : (long)Rows * Columns / format.Size * format.ByteCount;

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense) => Make().Unpack(firstRow, dense);

    /// <inheritdoc/>
    public override double Sparsity() => Make().Sparsity();

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        int[] rows = order.ToArray();
        return new DeferredWeight(rows.Length, Columns, () => Make().Reorder(rows), format);
    }

    (string Kind, long ByteCount) Facts
    {
        get
        {
            if (facts is null)
                Make();
            return facts!.Value;
        }
    }
}

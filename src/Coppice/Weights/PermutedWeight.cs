using System.Buffers;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix whose columns are stored in another order. A product gathers its inputs once and is then the stored matrix's own.</summary>
public sealed class PermutedWeight : Weight
{
    // Numbers that are unpacked at a time.
    const int BandNumbers = 1 << 18;

    readonly int[] order;

    /// <summary>Wraps (does not copy): stored column j is input <paramref name="order"/>[j], each input once.</summary>
    public PermutedWeight(Weight stored, int[] order) : base(stored.Rows, stored.Columns)
    {
        bool[] seen = new bool[stored.Columns];
        if (order.Length != stored.Columns || order.Any(input => (uint)input >= (uint)seen.Length || !(seen[input] = !seen[input])))
            throw new ArgumentException($"PermutedWeight: {order.Length} places are no order of {stored.Columns} inputs");
        (Stored, this.order) = (stored, order);
    }

    /// <summary>The matrix as it is stored.</summary>
    public Weight Stored { get; }

    /// <summary>The input that each stored column belongs to.</summary>
    public ReadOnlySpan<int> Order => order;

    /// <inheritdoc/>
    public override long ByteCount => Stored.ByteCount + 4L * order.Length;

    /// <inheritdoc/>
    public override string Kind => Stored.Kind + "-permuted";

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        int band = Math.Min(dense.Length, Math.Max(1, BandNumbers / Math.Max(Columns, 1)) * Columns);
        float[] stored = ArrayPool<float>.Shared.Rent(band);
        for (int row = firstRow; dense.Length > 0; row += band / Columns, dense = dense[band..])
        {
            band = Math.Min(band, dense.Length);
            Stored.Unpack(row, stored.AsSpan(0, band));
            for (int start = 0; start < band; start += Columns)
                for (int i = 0; i < order.Length; i++)
                    dense[start + order[i]] = stored[start + i];
        }
        ArrayPool<float>.Shared.Return(stored);
    }

    /// <inheritdoc/>
    public override void Multiply(WorkerPool pool, Rows x, Rows y)
    {
        CheckProduct(x.Columns, y.Columns, x.Count, y.Count);
        float[] buffer = ArrayPool<float>.Shared.Rent(x.Data.Length);
        Span<float> gathered = buffer.AsSpan(0, x.Data.Length);
        GatherJob job = new() { From = x.Data, To = gathered, Order = order };
        pool.Run(x.Count, ref job);
        Stored.Multiply(pool, new Rows(gathered, x.Count, Columns), y);
        ArrayPool<float>.Shared.Return(buffer);
    }

    /// <inheritdoc/>
    public override void MultiplyTransposed(WorkerPool pool, Rows dy, Rows dx)
    {
        CheckProduct(dx.Columns, dy.Columns, dx.Count, dy.Count);
        float[] buffer = ArrayPool<float>.Shared.Rent(dx.Data.Length);
        Span<float> gathered = buffer.AsSpan(0, dx.Data.Length);
        GatherJob gather = new() { From = dx.Data, To = gathered, Order = order };
        pool.Run(dx.Count, ref gather);
        Stored.MultiplyTransposed(pool, dy, new Rows(gathered, dx.Count, Columns));
        for (int row = 0; row < dx.Count; row++)
            for (int i = 0; i < order.Length; i++)
                dx[row][order[i]] = gathered[row * order.Length + i];
        ArrayPool<float>.Shared.Return(buffer);
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order) => new PermutedWeight(Stored.Reorder(order), this.order);

    /// <inheritdoc/>
    public override double Sparsity() => Stored.Sparsity();

    ref struct GatherJob : IJob
    {
        public ReadOnlySpan<float> From;
        public Span<float> To;
        public int[] Order;

        public readonly void Execute(int part)
        {
            ReadOnlySpan<float> from = From.Slice(part * Order.Length, Order.Length);
            Span<float> to = To.Slice(part * Order.Length, Order.Length);
            for (int i = 0; i < to.Length; i++)
                to[i] = from[Order[i]];
        }
    }
}

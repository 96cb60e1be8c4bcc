using System.Buffers;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Values in rows that are read, or made, each time they are asked for and not kept. All at once, as a span, they are made into an array.</summary>
internal sealed class DeferredMemory<T> : MemoryManager<T>, IFileMemory<T> where T : unmanaged
{
    readonly int rows, rowLength;
    readonly ReadRows read;

    /// <summary>Fills whole rows, from <paramref name="firstRow"/> on; called by any number of threads.</summary>
    public delegate void ReadRows(int firstRow, Span<T> values);

    /// <summary>Values of <paramref name="rows"/> rows of <paramref name="rowLength"/> each.</summary>
    public DeferredMemory(int rows, int rowLength, ReadRows read) => (this.rows, this.rowLength, this.read) = (rows, rowLength, read);

    /// <inheritdoc/>
    public override Memory<T> Memory => CreateMemory(checked(rows * rowLength));

    /// <inheritdoc/>
    public override Span<T> GetSpan() => DeferredMemory.ToArray<T>(Memory, rowLength);

    /// <inheritdoc/>
    public void Read(int first, Span<T> destination)
    {
        if (destination.IsEmpty)
            return;
        if (first % rowLength != 0 || destination.Length % rowLength != 0)
            throw new ArgumentException($"DeferredMemory: {destination.Length} values from {first} on, wanted whole rows of {rowLength}");
        read(first / rowLength, destination);
    }

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0) => throw new NotSupportedException("DeferredMemory: has no address");

    /// <inheritdoc/>
    public override void Unpin() { }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) { }
}

/// <summary>Rows in other orders, deferred where what they are of is deferred.</summary>
internal static class DeferredMemory
{
    // Values that are read at a time where all are wanted.
    const int BandValues = 1 << 20;

    /// <summary>Whether values are made when they are asked for.</summary>
    public static bool IsDeferred<T>(ReadOnlyMemory<T> memory) where T : unmanaged => MemoryMarshal.TryGetMemoryManager<T, DeferredMemory<T>>(memory, out _);

    /// <summary>All values, read a band of rows at a time.</summary>
    public static T[] ToArray<T>(ReadOnlyMemory<T> memory, int rowLength) where T : unmanaged
    {
        T[] all = GC.AllocateUninitializedArray<T>(memory.Length);
        int band = Math.Max(1, BandValues / Math.Max(rowLength, 1)) * rowLength;
        for (int at = 0; at < all.Length; at += band)
            FileRun.Copy(memory, at, all.AsSpan(at, Math.Min(band, all.Length - at)));
        return all;
    }

    /// <summary>Row i of the result is row order[i] of <paramref name="memory"/>.</summary>
    public static ReadOnlyMemory<T> Reorder<T>(ReadOnlyMemory<T> memory, int rowLength, ReadOnlySpan<int> order) where T : unmanaged
    {
        if (IsDeferred(memory))
        {
            int[] rows = order.ToArray();
            return new DeferredMemory<T>(rows.Length, rowLength, (first, values) => Gather(memory, rowLength, rows.AsSpan(first, values.Length / rowLength), values)).Memory;
        }
        // Of a mapped file, rows that follow one another stay where they are: those of an expert among its layer's.
        if (FileRun<T>.IsFile(memory, out _) && FollowOneAnother(order))
            return memory.Slice(order[0] * rowLength, order.Length * rowLength);
        T[] reordered = GC.AllocateUninitializedArray<T>(order.Length * rowLength);
        Gather(memory, rowLength, order, reordered);
        return reordered;
    }

    /// <summary>The rows of all parts, one part after another.</summary>
    public static ReadOnlyMemory<T> Concat<T>(ReadOnlyMemory<T>[] parts, int rowLength) where T : unmanaged
    {
        int length = parts.Sum(part => part.Length);
        DeferredMemory<T> all = new(rowLength == 0 ? 0 : length / rowLength, rowLength, (first, values) =>
        {
            int at = first * rowLength;
            foreach (ReadOnlyMemory<T> part in parts)
            {
                int count = Math.Min(part.Length - at, values.Length);
                if (count > 0)
                {
                    FileRun.Copy(part, at, values[..count]);
                    values = values[count..];
                    at += count;
                }
                at -= part.Length;
            }
        });
        return Array.Exists(parts, IsDeferred) ? all.Memory : ToArray<T>(all.Memory, rowLength);
    }

    static bool FollowOneAnother(ReadOnlySpan<int> order)
    {
        for (int i = 1; i < order.Length; i++)
            if (order[i] != order[0] + i)
                return false;
        return !order.IsEmpty;
    }

    // Rows that lie close together are read in one piece: to read a row by itself may cost as much as to read many.
    static void Gather<T>(ReadOnlyMemory<T> memory, int rowLength, ReadOnlySpan<int> order, Span<T> values) where T : unmanaged
    {
        if (order.IsEmpty || rowLength == 0)
            return;
        int least = order[0], most = order[0];
        foreach (int row in order)
            (least, most) = (Math.Min(least, row), Math.Max(most, row));
        int count = most - least + 1;
        bool isClose = count <= 2L * order.Length;
        using FileRun<T> run = new(memory, (isClose ? count : 1) * rowLength);
        ReadOnlySpan<T> close = isClose ? run.Read(least * rowLength, count * rowLength) : [];
        for (int i = 0; i < order.Length; i++)
            (isClose ? close.Slice((order[i] - least) * rowLength, rowLength) : run.Read(order[i] * rowLength, rowLength)).CopyTo(values[(i * rowLength)..]);
    }
}

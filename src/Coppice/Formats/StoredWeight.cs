using System.Buffers;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A matrix that stays in its file: rows are read when they are asked for, so that a model larger than memory can be converted. The file has to stay open.</summary>
public sealed class StoredWeight : Weight
{
    readonly BinaryFile file;
    readonly string name;
    readonly long begin;
    readonly HalfFormat? half;
    readonly int[]? order;

    // Float32 where half is null. Row i is the file's row order[i]; without an order they are the same.
    internal StoredWeight(BinaryFile file, string name, long begin, HalfFormat? half, int rows, int columns, int[]? order = null) : base(rows, columns)
    {
        (this.file, this.name, this.begin, this.half, this.order) = (file, name, begin, half, order);
    }

    /// <summary>The 16 bits of a number, or null for float32.</summary>
    public HalfFormat? Format => half;

    /// <inheritdoc/>
    public override bool IsInMemory => false;

    /// <inheritdoc/>
    public override long ByteCount => (half is null ? 4L : 2L) * Rows * Columns;

    /// <inheritdoc/>
    public override string Kind => half switch { HalfFormat.Float16 => "f16", HalfFormat.BFloat16 => "bf16", _ => "f32" };

    /// <inheritdoc/>
    /// <remarks>Any number of threads may read at once.</remarks>
    /// <exception cref="CoppiceException">The file could not be read, or holds a number that is not finite.</exception>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        if (order is null)
        {
            Read(firstRow, firstRow, dense);
            return;
        }
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
            Read(row, order[row], dense[..Columns]);
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        int[] reordered = new int[order.Length];
        for (int i = 0; i < reordered.Length; i++)
            reordered[i] = this.order is null ? order[i] : this.order[order[i]];
        // Back in the file's own order, rows are read many at a time.
        bool asStored = reordered.AsSpan().SequenceEqual(Enumerable.Range(0, reordered.Length).ToArray());
        return new StoredWeight(file, name, begin, half, reordered.Length, Columns, asStored ? null : reordered);
    }

    void Read(int row, int stored, Span<float> dense)
    {
        long first = (long)stored * Columns;
        int wrong;
        if (half is { } format)
        {
            ushort[] bits = ArrayPool<ushort>.Shared.Rent(dense.Length);
            Span<ushort> read = bits.AsSpan(0, dense.Length);
            file.Read(begin + 2 * first, MemoryMarshal.AsBytes(read), $"tensor '{name}'");
            wrong = HalfConversion.IndexOfNonFinite(format, read);
            HalfConversion.ToSingle(format, read, dense);
            ArrayPool<ushort>.Shared.Return(bits);
        }
        else
        {
            file.Read(begin + 4 * first, MemoryMarshal.AsBytes(dense), $"tensor '{name}'");
            wrong = HalfConversion.IndexOfNonFinite(dense);
        }
        if (wrong >= 0)
            throw file.Error($"tensor '{name}' holds a number that is not finite at [{row + wrong / Columns}, {wrong % Columns}]; the model is damaged");
    }
}

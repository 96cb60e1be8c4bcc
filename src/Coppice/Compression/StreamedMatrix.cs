using System.Diagnostics;
using System.Numerics.Tensors;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>A matrix on its way from one file to another: rounded a band of rows at a time, or as it is where there is no step for it.</summary>
internal sealed class StreamedMatrix
{
    readonly string name;
    readonly Weight source;
    readonly RoundToNearest? step;
    readonly WorkerPool pool;
    readonly CancellationToken cancel;
    readonly StoredNumbers?[] rows;
    long ticks;
    int left;

    public StreamedMatrix(string name, Weight source, RoundToNearest? step, WorkerPool pool, CancellationToken cancel)
    {
        (this.name, this.source, this.step, this.pool, this.cancel) = (name, source, step, pool, cancel);
        (rows, left) = (new StoredNumbers?[source.Rows], source.Rows);
        Stored = step is null ? source : new BandedIntWeight(new IntegerForm(step.Bits, step.GroupSize, step.Symmetric), source.Rows, source.Columns, pool, Band);
    }

    /// <summary>What is written.</summary>
    public Weight Stored { get; }

    /// <summary>Raised when every row was rounded once.</summary>
    public event Action? Rounded;

    /// <summary>What became of it. A matrix without a step is looked through once more: it goes to its file as 16 bits.</summary>
    public LayerResult Result()
    {
        StoredNumbers sum = default;
        string kind = Stored.Kind;
        long bytes = Stored.ByteCount;
        if (step is null)
        {
            HalfFormat format = (source as StoredWeight)?.Format ?? HalfFormat.Float16;
            (kind, bytes) = (format == HalfFormat.Float16 ? "f16" : "bf16", 2L * source.Rows * source.Columns);
            float[] before = new float[source.Columns], after = new float[source.Columns];
            ushort[] bits = new ushort[source.Columns];
            for (int row = 0; row < source.Rows; row++)
            {
                source.Unpack(row, before);
                HalfConversion.FromSingle(format, before, bits);
                HalfConversion.ToSingle(format, bits, after);
                sum += StoredNumbers.Of(before, after);
            }
        }
        else
            sum = rows.Aggregate(sum, (all, row) => all + row!.Value);
        long count = (long)source.Rows * source.Columns;
        return new LayerResult(name, step is null ? [] : [step.Key], kind, source.Rows, source.Columns, bytes, 8.0 * bytes / count, (double)sum.Zeros / count,
            sum.SquaredNorm == 0 ? 0 : sum.SquaredError / sum.SquaredNorm, null, Stopwatch.GetElapsedTime(0, Interlocked.Read(ref ticks)).TotalSeconds, []);
    }

    IntWeight Band(int first, int count)
    {
        cancel.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        int columns = source.Columns;
        float[] numbers = new float[count * columns];
        source.Unpack(first, numbers);
        int largest = TensorPrimitives.IndexOfMaxMagnitude<float>(numbers);
        if (largest >= 0 && Math.Abs(numbers[largest]) > (float)Half.MaxValue)
            throw new CoppiceException($"{name}: the weight at row {first + largest / columns}, column {largest % columns} is {numbers[largest]}, wanted a finite number of at most {(float)Half.MaxValue}; the model is damaged or cannot be stored in halves");
        // Rows are rounded each by itself, so that a band of them is a matrix of its own.
        LayerWork work = new(name, count, columns, numbers, pool) { Cancel = cancel };
        step!.Apply(work);
        IntWeight band = (IntWeight)Packing.Pack(work);
        float[] stored = band.ToDense();
        int seen = rows.AsSpan(first, count).Count((StoredNumbers?)null);
        for (int row = 0; row < count; row++)
            rows[first + row] ??= StoredNumbers.Of(numbers.AsSpan(row * columns, columns), stored.AsSpan(row * columns, columns));
        Interlocked.Add(ref ticks, Stopwatch.GetTimestamp() - start);
        if (seen > 0 && Interlocked.Add(ref left, -seen) == 0)
            Rounded?.Invoke();
        return band;
    }
}

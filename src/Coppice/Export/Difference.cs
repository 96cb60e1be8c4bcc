using System.Buffers;
using System.Runtime.Intrinsics;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Export;

/// <summary>How two sets of numbers differ.</summary>
/// <param name="Changed">How many are not equal.</param>
/// <param name="Largest">The largest |a - b|, in float32.</param>
readonly record struct Difference(long Changed, double Largest)
{
    // Numbers that a thread compares at a time: few enough to stay in its cache, but of what may be stored the other way round enough that it is read in pieces worth reading.
    const int FewNumbers = 1 << 16, ManyNumbers = 1 << 20;

    /// <summary>Of two matrices of one shape, some rows at a time.</summary>
    public static Difference Of(Weight a, Weight b, WorkerPool pool)
    {
        if (a.Shape != b.Shape)
            throw new ArgumentException($"Difference: {a.Shape} and {b.Shape}");
        (a, b) = (DeferredWeight.Made(a), DeferredWeight.Made(b));
        int rows = Math.Max(1, (LiesInRows(a) && LiesInRows(b) ? FewNumbers : ManyNumbers) / a.Columns), bands = (a.Rows + rows - 1) / rows;
        Difference[] parts = new Difference[bands];
        BandJob job = new(a, b, rows, parts);
        pool.Run(bands, ref job);
        return parts.Aggregate(default(Difference), (sum, part) => sum + part);
    }

    static bool LiesInRows(Weight weight) => weight is DenseWeight or HalfWeight or StoredWeight or BlockWeight;

    /// <summary>Of two lists of one length.</summary>
    public static Difference Of(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        if (a.SequenceEqual(b))
            return default;
        long equal = 0;
        Vector256<float> most = default;
        int i = 0;
        for (; i <= a.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            Vector256<float> x = Vector256.Create(a[i..]), y = Vector256.Create(b[i..]), isEqual = Vector256.Equals(x, y);
            equal += Vector256.CountWhereAllBitsSet(isEqual);
            most = Vector256.Max(most, Vector256.AndNot(Vector256.Abs(x - y), isEqual));
        }
        float largest = 0;
        for (int lane = 0; lane < Vector256<float>.Count; lane++)
            largest = Math.Max(largest, most[lane]);
        for (; i < a.Length; i++)
            if (a[i] == b[i])
                equal++;
            else
                largest = Math.Max(largest, Math.Abs(a[i] - b[i]));
        return new Difference(a.Length - equal, largest);
    }

    /// <summary>Of two parts together.</summary>
    public static Difference operator +(Difference a, Difference b) => new(a.Changed + b.Changed, Math.Max(a.Largest, b.Largest));

    readonly struct BandJob(Weight a, Weight b, int bandRows, Difference[] parts) : IJob
    {
        public void Execute(int part)
        {
            int first = part * bandRows, count = Math.Min(bandRows, a.Rows - first) * a.Columns;
            float[] x = ArrayPool<float>.Shared.Rent(count), y = ArrayPool<float>.Shared.Rent(count);
            a.Unpack(first, x.AsSpan(0, count));
            b.Unpack(first, y.AsSpan(0, count));
            parts[part] = Of(x.AsSpan(0, count), y.AsSpan(0, count));
            ArrayPool<float>.Shared.Return(y);
            ArrayPool<float>.Shared.Return(x);
        }
    }
}

using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Coding;
using Coppice.Training;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Codecs;

/// <summary>What one step of k-means needs of some vectors: of those nearest to each entry their sum [codes, width] and number [codes].</summary>
/// <remarks>Sums of several clients' add up to those of all vectors in one place.</remarks>
sealed record BookSums(double[] Sums, long[] Counts);

/// <summary>
/// Runs of a few numbers as the nearest entries of a codebook that all clients share (<see cref="ProductCodec"/> has one of each update's own): it comes with the task, each update says of its runs the sums and numbers that a step of k-means needs, and
/// the server takes that step over all clients' runs. A float32 a tensor, the entropy-coded indices, then of each entry varint number and, above 0, its sum in float64.
/// </summary>
public sealed class SharedProductCodec(int width = 8, int codes = 256) : StreamCodec
{
    /// <summary>The tensor of a task, and of the server's state, that holds the codebook [codes, width].</summary>
    internal const string TensorName = "codebook";

    const int SampleRuns = 4096, Iterations = 6;

    float[]? book;

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"bookpq:{width}:{codes}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

    /// <summary>What the update that was read or written last says of its runs.</summary>
    internal BookSums? Sums { get; private set; }

    /// <summary>The codebook that a run begins with: that of normal numbers, as runs are over their tensor's root mean square.</summary>
    public Tensor NewBook(Random random)
    {
        float[] sample = new float[SampleRuns * width];
        for (int i = 0; i < sample.Length; i++)
            sample[i] = (float)Initialization.Gaussian(random);
        return Tensor.From([codes, width], new Codebook(codes, width).Learn(sample, Iterations, random));
    }

    /// <summary>The codec with a codebook [codes, width], which is not copied.</summary>
    /// <exception cref="Tensors.CoppiceException">It has another shape, or a number is not finite.</exception>
    public SharedProductCodec With(Tensor shared) => shared.Shape.SequenceEqual([codes, width]) && float.IsFinite(TensorPrimitives.MaxMagnitude<float>(shared.Data))
        ? new SharedProductCodec(width, codes) { book = shared.Data.ToArray() }
        : throw new Tensors.CoppiceException($"codec '{Name}': a codebook {shared.Shape}, wanted [{codes}, {width}] of finite numbers");

    /// <summary>A step of k-means over the runs that sums are of: each entry becomes the mean of those nearest to it; one that none is nearest to stays.</summary>
    internal static void Step(IReadOnlyList<BookSums> parts, Tensor book)
    {
        int width = book.Shape[1];
        for (int code = 0; code < book.Shape[0]; code++)
        {
            long count = parts.Sum(part => part.Counts[code]);
            for (int j = code * width; j < (code + 1) * width && count > 0; j++)
                book.Data[j] = (float)(parts.Sum(part => part.Sums[j]) / count);
        }
    }

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        float[] scaled = [.. numbers];
        foreach ((_, Range range) in Places(model))
        {
            Span<float> tensor = scaled.AsSpan(range);
            float scale = tensor.Length == 0 ? 0 : (float)(TensorPrimitives.Norm<float>(tensor) / Math.Sqrt(tensor.Length));
            if (scale > 0)
                TensorPrimitives.Divide(tensor, scale, tensor);
            writer.Float(scale);
        }
        Range[] runs = [.. Runs(model, width)];
        byte[] nearest = new byte[runs.Length];
        Codebook.Assign(Book, width, runs.Length, (i, run) =>
        {
            run.Clear();
            scaled.AsSpan(runs[i]).CopyTo(run);
        }, nearest);
        Rans.Write(writer, nearest);
        double[] sums = new double[codes * width];
        int[] counts = new int[codes];
        for (int i = 0; i < runs.Length; i++)
        {
            counts[nearest[i]]++;
            ReadOnlySpan<float> run = scaled.AsSpan(runs[i]);
            for (int j = 0; j < run.Length; j++)
                sums[nearest[i] * width + j] += run[j];
        }
        for (int code = 0; code < codes; code++)
        {
            writer.Varint((uint)counts[code]);
            for (int j = code * width; j < (code + 1) * width && counts[code] > 0; j++)
                writer.UInt64(BitConverter.DoubleToUInt64Bits(sums[j]));
        }
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers)
    {
        List<(Range Range, float Scale)> scales = [];
        foreach ((_, Range range) in Places(model))
            scales.Add((range, reader.Float("a scale")));
        Range[] runs = [.. Runs(model, width)];
        byte[] nearest = new byte[runs.Length];
        long[] counts = new long[codes];
        Rans.Read(ref reader, nearest);
        for (int i = 0; i < runs.Length; i++)
        {
            if (nearest[i] >= codes)
                throw reader.Error($"index {nearest[i]} of a codebook of {codes}");
            counts[nearest[i]]++;
            Span<float> run = numbers.AsSpan(runs[i]);
            Book.AsSpan(nearest[i] * width, run.Length).CopyTo(run);
        }
        foreach ((Range range, float scale) in scales)
            TensorPrimitives.Multiply<float>(numbers.AsSpan(range), scale, numbers.AsSpan(range));
        double[] sums = new double[codes * width];
        for (int code = 0; code < codes; code++)
        {
            if (reader.Varint("a number of runs") is var count && count != counts[code])
                throw reader.Error($"a sum over {count:N0} runs of entry {code}, to which {counts[code]:N0} are nearest");
            for (int j = code * width; j < (code + 1) * width && count > 0; j++)
            {
                sums[j] = BitConverter.UInt64BitsToDouble(reader.UInt64("a sum"));
                if (!(Math.Abs(sums[j]) <= float.MaxValue))
                    throw reader.Error($"a sum of {sums[j]}, wanted a finite number");
            }
        }
        Sums = new BookSums(sums, counts);
    }

    float[] Book => book ?? throw new InvalidOperationException($"{Name}: no codebook came");
}

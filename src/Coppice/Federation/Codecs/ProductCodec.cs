using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>
/// Runs of a few numbers as the nearest of a codebook's entries, with error feedback (product quantization, Jegou et al. 2011): each tensor is divided by its root mean square, the codebook is learned from this
/// update's own runs by k-means, and entropy-coded indices are sent with it. A float32 a tensor, the codebook [codes, width] in float32, the indices; the last run of a tensor may be shorter.
/// </summary>
public sealed class ProductCodec(int width = 8, int codes = 256) : StreamCodec
{
    const int SampleRuns = 8192, Iterations = 6;

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"pq:{width}:{codes}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

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
        float[] book = new Codebook(codes, width).Learn(Sample(scaled, runs, random), Iterations, random);
        foreach (float value in book)
            writer.Float(value);
        byte[] nearest = new byte[runs.Length];
        Codebook.Assign(book, width, runs.Length, (i, run) => Copy(scaled, runs[i], run), nearest);
        Rans.Write(writer, nearest);
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers)
    {
        List<(Range Range, float Scale)> scales = [];
        foreach ((_, Range range) in Places(model))
            scales.Add((range, reader.Float("a scale")));
        float[] book = new float[codes * width];
        for (int i = 0; i < book.Length; i++)
            book[i] = reader.Float("a codebook's number");
        Range[] runs = [.. Runs(model, width)];
        byte[] nearest = new byte[runs.Length];
        Rans.Read(ref reader, nearest);
        for (int i = 0; i < runs.Length; i++)
        {
            if (nearest[i] >= codes)
                throw reader.Error($"index {nearest[i]} of a codebook of {codes}");
            Span<float> run = numbers.AsSpan(runs[i]);
            book.AsSpan(nearest[i] * width, run.Length).CopyTo(run);
        }
        foreach ((Range range, float scale) in scales)
            TensorPrimitives.Multiply<float>(numbers.AsSpan(range), scale, numbers.AsSpan(range));
    }

    float[] Sample(float[] scaled, Range[] runs, Random random)
    {
        int count = Math.Min(SampleRuns, runs.Length);
        float[] sample = new float[count * width];
        for (int i = 0; i < count; i++)
            Copy(scaled, runs[count == runs.Length ? i : random.Next(runs.Length)], sample.AsSpan(i * width, width));
        return sample;
    }

    static void Copy(float[] scaled, Range run, Span<float> target)
    {
        target.Clear();
        scaled.AsSpan(run).CopyTo(target);
    }
}

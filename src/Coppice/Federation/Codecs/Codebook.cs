using System.Numerics.Tensors;

namespace Coppice.Federation.Codecs;

/// <summary>Fills a run of numbers.</summary>
delegate void FillRun(int index, Span<float> run);

/// <summary>k-means over runs of a few numbers (Lloyd 1982).</summary>
sealed class Codebook(int codes, int width)
{
    /// <summary>Entries [codes, width] from a sample [runs, width]: some of its runs to begin with, then means of the runs nearest to each; an entry that none is nearest to becomes a run by chance.</summary>
    public float[] Learn(float[] sample, int iterations, Random random)
    {
        int count = sample.Length / width;
        float[] book = new float[codes * width];
        for (int code = 0; code < codes && count > 0; code++)
            Draw(sample, count, random, book.AsSpan(code * width, width));
        byte[] nearest = new byte[count];
        for (int iteration = 0; iteration < iterations; iteration++)
        {
            Assign(book, width, count, (i, run) => sample.AsSpan(i * width, width).CopyTo(run), nearest);
            int[] members = new int[codes];
            double[] sum = new double[book.Length];
            for (int i = 0; i < count; i++)
            {
                members[nearest[i]]++;
                for (int j = 0; j < width; j++)
                    sum[nearest[i] * width + j] += sample[i * width + j];
            }
            for (int code = 0; code < codes && count > 0; code++)
                if (members[code] == 0)
                    Draw(sample, count, random, book.AsSpan(code * width, width));
                else
                    for (int j = 0; j < width; j++)
                        book[code * width + j] = (float)(sum[code * width + j] / members[code]);
        }
        return book;
    }

    /// <summary>The entry nearest to each run: the least of |c|^2 / 2 - x c.</summary>
    public static void Assign(float[] book, int width, int count, FillRun fill, Span<byte> nearest)
    {
        int codes = book.Length / width;
        float[] columns = new float[book.Length], halfNorms = new float[codes], distance = new float[codes], run = new float[width];
        for (int code = 0; code < codes; code++)
        {
            halfNorms[code] = TensorPrimitives.SumOfSquares<float>(book.AsSpan(code * width, width)) / 2;
            for (int j = 0; j < width; j++)
                columns[j * codes + code] = book[code * width + j];
        }
        for (int i = 0; i < count; i++)
        {
            fill(i, run);
            halfNorms.CopyTo(distance, 0);
            for (int j = 0; j < width; j++)
                TensorPrimitives.MultiplyAdd<float>(columns.AsSpan(j * codes, codes), -run[j], distance, distance);
            nearest[i] = (byte)TensorPrimitives.IndexOfMin<float>(distance);
        }
    }

    void Draw(float[] sample, int count, Random random, Span<float> entry) => sample.AsSpan(random.Next(count) * width, width).CopyTo(entry);
}

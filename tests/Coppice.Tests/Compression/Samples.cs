using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Compression;

/// <summary>Small matrices, inputs and models, all from a seed.</summary>
static class Samples
{
    public static readonly DecoderConfig Tiny = new()
    {
        HiddenSize = 32,
        IntermediateSize = 64,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        HeadWidth = 8,
        VocabularySize = 64,
        ContextLength = 32,
    };

    public static DecoderModel Model(int seed = 1, HeadKind head = HeadKind.Tied) => Initialization.Random(Tiny with { Head = head }, seed);

    public static int[][] Tokens(int seed = 2, int sequences = 6, int length = 24)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, sequences).Select(_ => Enumerable.Range(0, length).Select(_ => random.Next(Tiny.VocabularySize)).ToArray())];
    }

    public static float[] Gaussian(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    /// <summary>Inputs [tokens, columns] whose channels mix and differ in size, as a trained model's do.</summary>
    public static float[] Inputs(int tokens, int columns, int seed)
    {
        float[] x = Gaussian(tokens * columns, seed), shared = Gaussian(tokens, seed + 1), sizes = Gaussian(columns, seed + 2);
        for (int t = 0; t < tokens; t++)
            for (int j = 0; j < columns; j++)
                x[t * columns + j] = MathF.Exp(sizes[j]) * (x[t * columns + j] + shared[t]);
        return x;
    }

    /// <summary>Mean nats of the next token, each text on its own.</summary>
    public static double Loss(DecoderModel model, int[][] sequences)
    {
        double nats = 0;
        int count = 0;
        foreach (int[] sequence in sequences)
        {
            ReadOnlySpan<float> logits = model.Forward(new Batch(sequence), new ForwardContext(Pool)).Data;
            for (int t = 0; t + 1 < sequence.Length; t++, count++)
            {
                double sum = 0;
                foreach (float logit in logits.Slice(t * model.VocabularySize, model.VocabularySize))
                    sum += Math.Exp(logit);
                nats += Math.Log(sum) - logits[t * model.VocabularySize + sequence[t + 1]];
            }
        }
        return nats / count;
    }

    public static InputStatistics Statistics(float[] x, int columns, Statistics kind = Coppice.Compression.Statistics.Gram)
    {
        using WorkerPool pool = new(1);
        InputStatistics statistics = new(columns, kind);
        statistics.Add(pool, x);
        return statistics;
    }

    /// <summary>A symmetric matrix as <see cref="Cholesky"/> reads it.</summary>
    public static Cholesky.Row RowsOf(double[] h) => (row, to) => h.AsSpan(row * ((int)Math.Sqrt(h.Length) + 1), to.Length).CopyTo(to);

    public static LayerWork Work(float[] weights, int columns, InputStatistics? inputs = null) =>
        new("layer", weights.Length / columns, columns, weights, Pool) { Inputs = inputs, Random = new Random(5) };

    /// <summary>||(W - Q) x||^2 summed over inputs, each product on its own in double.</summary>
    public static double Objective(float[] weights, float[] stored, float[] x, int columns)
    {
        double sum = 0;
        for (int row = 0; row < weights.Length / columns; row++)
            sum += RowObjective(weights, stored, x, columns, row);
        return sum;
    }

    public static double RowObjective(float[] weights, float[] stored, float[] x, int columns, int row)
    {
        double sum = 0;
        for (int t = 0; t < x.Length / columns; t++)
        {
            double y = 0;
            for (int j = 0; j < columns; j++)
                y += ((double)weights[row * columns + j] - stored[row * columns + j]) * x[t * columns + j];
            sum += y * y;
        }
        return sum;
    }

    public static WorkerPool Pool { get; } = new(2);
}

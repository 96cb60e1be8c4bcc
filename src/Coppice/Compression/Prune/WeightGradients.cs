using System.Diagnostics;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Prune;

/// <summary>What the loss's gradients on a text say of each weight.</summary>
internal enum GradientMoment
{
    /// <summary>The mean of g over tokens.</summary>
    Mean,

    /// <summary>The root of the mean of g^2 over batches, each weighed by its tokens.</summary>
    RootMeanSquare,
}

/// <summary>Gradients of the loss, mean nats of the next token, with respect to matrices: one backward pass a batch through the model's own tape.</summary>
internal static class WeightGradients
{
    // Tokens of a batch, where sequences are not longer: logits are as wide as the vocabulary.
    const int BatchTokens = 512;

    /// <summary>The moment for each weight of the matrices, by name. Takes 12 bytes a weight of theirs while it runs (8 where they are float32), beside a batch's activations; what it returns are 4.</summary>
    /// <exception cref="CoppiceException">The model has no next-token loss, no sequence has two tokens, or a gradient is not finite.</exception>
    public static Dictionary<string, float[]> Gather(WholeModel whole, IEnumerable<int[]> sequences, GradientMoment moment)
    {
        float[][] sums = [.. whole.Matrices.Select(matrix => new float[matrix.Layer.Weight.Shape.Length])];
        ForEachBatch(whole, sequences, (values, share) =>
        {
            AddJob job = new(values, sums, moment, (float)share);
            whole.Pool.Run(values.Length, ref job);
        });
        Dictionary<string, float[]> moments = new(StringComparer.Ordinal);
        for (int i = 0; i < sums.Length; i++)
        {
            if (moment == GradientMoment.RootMeanSquare)
                TensorPrimitives.Sqrt(sums[i], sums[i]);
            if (!float.IsFinite(TensorPrimitives.MaxMagnitude<float>(sums[i])))
                throw new CoppiceException($"{whole.Matrices[i].Name}: the loss's gradients on the calibration text are not finite; the model is damaged");
            moments.Add(whole.Matrices[i].Name, sums[i]);
        }
        return moments;
    }

    /// <summary>Shows the matrices' numbers, with the gradients of a batch's mean loss, and what share of all tokens the batch has. The model is as it was afterwards.</summary>
    /// <exception cref="CoppiceException">The model has no next-token loss, or no sequence has two tokens.</exception>
    public static void ForEachBatch(WholeModel whole, IEnumerable<int[]> sequences, Action<Tensor[], double> see)
    {
        long start = Stopwatch.GetTimestamp();
        if (whole.Model is not DecoderModel)
            throw new CoppiceException($"gradients are those of the next token's loss, which a {whole.Model.Family} model does not have");
        int[][] scored = [.. sequences.Where(sequence => sequence.Length > 1)];
        long tokens = scored.Sum(sequence => sequence.Length - 1L);
        if (tokens == 0)
            throw new CoppiceException("the calibration text has no sequence of two tokens, so that there is no next token to take gradients of");
        // All of the model is read forwards and backwards for every batch, so that all of it has to be at hand.
        MatrixLayer[] all = [.. whole.Model.Matrices().Select(matrix => matrix.Layer)];
        Weight[] before = [.. all.Select(layer => layer.Weight)];
        try
        {
            foreach (MatrixLayer layer in all)
                if (!layer.Weight.IsInMemory)
                    layer.Weight = MatrixLayout.InMemory(layer.Weight);
            Tensor[] values = [.. whole.Matrices.Select(matrix => Track(matrix.Layer))];
            ForwardContext context = new(whole.Pool, new Tape());
            foreach ((Batch batch, int[] targets, int count) in Batches(scored))
            {
                whole.Cancel.ThrowIfCancellationRequested();
                context.Tape!.Backward(CrossEntropy.Apply(context, whole.Model.Forward(batch, context), targets, count));
                context.Reset();
                see(values, (double)count / tokens);
                foreach (Tensor value in values)
                    value.ForgetGradient();
            }
        }
        finally
        {
            for (int i = 0; i < before.Length; i++)
            {
                (before[i] as DenseWeight)?.Values.DropGradient();
                all[i].Weight = before[i];
            }
        }
        whole.TextSeconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    static Tensor Track(MatrixLayer layer)
    {
        if (layer.Weight is not DenseWeight)
            layer.Weight = new DenseWeight(Tensor.From(layer.Weight.Shape, layer.Weight.ToDense()));
        Tensor values = ((DenseWeight)layer.Weight).Values;
        values.TrackGradient();
        return values;
    }

    // Whole sequences, and for each row the token after it; a sequence's last has none.
    static IEnumerable<(Batch Batch, int[] Targets, int Count)> Batches(int[][] sequences)
    {
        for (int first = 0; first < sequences.Length;)
        {
            Batch batch = new();
            List<int> targets = [];
            int start = first;
            while (first < sequences.Length && (first == start || batch.Count + sequences[first].Length <= BatchTokens))
            {
                batch.Add(sequences[first]);
                targets.AddRange([.. sequences[first].Skip(1), CrossEntropy.Ignored]);
                first++;
            }
            yield return (batch, [.. targets], batch.Count - (first - start));
        }
    }

    readonly struct AddJob(Tensor[] values, float[][] sums, GradientMoment moment, float share) : IJob
    {
        public void Execute(int part)
        {
            ReadOnlySpan<float> g = values[part].Grad!.Data;
            Span<float> sum = sums[part].AsSpan(0, g.Length);
            if (moment == GradientMoment.Mean)
                TensorPrimitives.MultiplyAdd(g, share, sum, sum);
            else
                for (int i = 0; i < g.Length; i++)
                    sum[i] += share * g[i] * g[i];
        }
    }
}

/// <summary>abs(w) times a moment of its gradients, times one factor.</summary>
internal sealed class GradientScores(Dictionary<string, float[]> moments, float factor = 1) : IWeightScores
{
    /// <inheritdoc/>
    public long ByteCount => moments.Values.Sum(moment => sizeof(float) * (long)moment.Length);

    /// <inheritdoc/>
    public void Score(LayerWork work, Span<float> scores) => Score(work.Dense, moments[work.Name], factor, scores);

    /// <summary>factor * abs(w g), for weights and gradients of the same length.</summary>
    public static void Score(ReadOnlySpan<float> weights, ReadOnlySpan<float> gradients, float factor, Span<float> scores)
    {
        TensorPrimitives.Multiply(weights, gradients, scores);
        TensorPrimitives.Multiply(scores, factor, scores);
        TensorPrimitives.Abs(scores, scores);
    }

    /// <inheritdoc/>
    public void Dispose() => moments.Clear();
}

using System.Collections.Immutable;
using System.Numerics.Tensors;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Explanation;

/// <summary>How the weights of a compressed model differ from its base's, where in each matrix, and what that should cost.</summary>
/// <remarks>
/// The predicted KL of a change e of the weights is that of second order, 1/2 E[(g . e)^2] a token, with g the gradient of log p(y) and y drawn from the base itself: e times Fisher's information. A backward pass over a window
/// with a y drawn at every place gives the sum of its tokens' in one, since draws at different places are independent and their gradients have mean zero.
/// </remarks>
public sealed record WeightErrors
{
    /// <summary>Runs of neighbouring input channels that a matrix is shown in.</summary>
    public const int Bins = 16;

    /// <summary>Windows are taken until they hold this many tokens.</summary>
    public int MaxTokens { get; init; } = 2048;

    /// <summary>Draws for each window: the prediction's relative error is about 1.4 over the root of draws times windows.</summary>
    public int Draws { get; init; } = 8;

    /// <summary>Fixes the draws.</summary>
    public int Seed { get; init; }

    /// <summary>Compares the matrices that both models have in the same shape and that differ. Takes 12 bytes a weight of them while it runs; the base is as it was afterwards.</summary>
    /// <exception cref="CoppiceException">There is no window of two tokens, or no matrix to compare.</exception>
    public WeightErrorResult Measure(DecoderModel baseModel, DecoderModel compressed, WorkerPool pool, IReadOnlyList<ReadOnlyMemory<int>> windows, CancellationToken cancel = default)
    {
        List<ReadOnlyMemory<int>> taken = [];
        foreach (ReadOnlyMemory<int> window in windows.Where(window => window.Length > 1))
            if (taken.Sum(one => one.Length) < MaxTokens)
                taken.Add(window);
        if (taken.Count == 0)
            throw new CoppiceException("Weight errors: no window of two tokens or more");
        List<Part> parts = Parts(baseModel, compressed);
        if (parts.Count == 0)
            throw new CoppiceException("Weight errors: the two models have no matrix of the same shape with other weights");
        double[][] costs = [.. parts.Select(_ => new double[taken.Count])];
        double[] whole = new double[taken.Count], counts = [.. taken.Select(window => (double)window.Length)];
        Weight[] before = [.. parts.Select(part => part.Layer.Weight)];
        try
        {
            foreach (Part part in parts)
                part.Track();
            Dictionary<Linear, Part> readers = parts.Where(part => part.Layer is Linear).ToDictionary(part => (Linear)part.Layer);
            Random random = new(Seed);
            for (int w = 0; w < taken.Count; w++)
                for (int draw = 0; draw < Draws; draw++)
                {
                    cancel.ThrowIfCancellationRequested();
                    ForwardContext context = new(pool, new Tape())
                    {
                        // A tied table has its inputs where it is the head.
                        OnLinearInput = draw > 0 ? null : (linear, x) =>
                            (readers.GetValueOrDefault(linear) ?? parts.Find(part => ReferenceEquals(part.Layer.Weight, linear.Weight)))?.See(x),
                    };
                    Tensor logits = baseModel.Forward(new Batch(taken[w].Span), context);
                    int[] drawn = [.. Enumerable.Range(0, logits.Shape.Rows).Select(row => Draw(logits.Data.Slice(row * baseModel.VocabularySize, baseModel.VocabularySize), random))];
                    context.Tape!.Backward(CrossEntropy.Apply(context, logits, drawn, 1));
                    double together = 0;
                    for (int p = 0; p < parts.Count; p++)
                    {
                        double product = parts[p].GradientProduct();
                        costs[p][w] += product * product / (2 * Draws);
                        together += product;
                    }
                    whole[w] += together * together / (2 * Draws);
                }
        }
        finally
        {
            for (int p = 0; p < parts.Count; p++)
            {
                (before[p] as DenseWeight)?.Values.DropGradient();
                parts[p].Layer.Weight = before[p];
            }
        }
        return new WeightErrorResult([.. parts.Select((part, p) => part.Result(Statistics.Ratio(costs[p], counts)))], Statistics.Ratio(whole, counts), (int)counts.Sum());
    }

    static List<Part> Parts(DecoderModel baseModel, DecoderModel compressed)
    {
        Dictionary<string, Weight> others = compressed.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight);
        Dictionary<MatrixLayer, int> blocks = [];
        for (int i = 0; i < baseModel.Blocks.Count; i++)
            foreach (MatrixLayer layer in baseModel.Blocks[i].Walk().Select(part => part.Layer).OfType<MatrixLayer>())
                blocks.TryAdd(layer, i);
        List<Part> parts = [];
        foreach ((string name, MatrixLayer layer) in baseModel.Matrices())
            if (others.TryGetValue(name, out Weight? other) && other.Rows == layer.Weight.Rows && other.Columns == layer.Weight.Columns
                && new Part(name, blocks.TryGetValue(layer, out int block) ? block : null, layer, other) is { IsChanged: true } part)
                parts.Add(part);
        return parts;
    }

    // A word of softmax(logits).
    static int Draw(ReadOnlySpan<float> logits, Random random)
    {
        double largest = TensorPrimitives.Max(logits), all = 0;
        foreach (float logit in logits)
            all += Math.Exp(logit - largest);
        double left = random.NextDouble() * all;
        for (int i = 0; i < logits.Length; i++)
            if ((left -= Math.Exp(logits[i] - largest)) < 0)
                return i;
        return logits.Length - 1;
    }

    /// <summary>A matrix of the base and its change.</summary>
    sealed class Part
    {
        readonly string name, kind;
        readonly int? block;
        readonly float[] weights, change;
        readonly double[] squares;

        public Part(string name, int? block, MatrixLayer layer, Weight compressed)
        {
            (this.name, this.block, Layer, kind, weights, change) = (name, block, layer, compressed.Kind, layer.Weight.ToDense(), compressed.ToDense());
            TensorPrimitives.Subtract(change, weights, change);
            squares = new double[layer.Weight.Columns];
        }

        public MatrixLayer Layer { get; }

        public bool IsChanged => change.AsSpan().ContainsAnyExcept(0f);

        public void Track()
        {
            DenseWeight dense = new(Tensor.From(Layer.Weight.Shape, weights));
            Layer.Weight = dense;
            dense.Values.TrackGradient();
        }

        public void See(Tensor x)
        {
            ReadOnlySpan<float> data = x.Data;
            for (int i = 0; i < data.Length; i++)
                squares[i % squares.Length] += (double)data[i] * data[i];
        }

        public double GradientProduct()
        {
            Tensor values = ((DenseWeight)Layer.Weight).Values;
            double product = 0;
            if (values.Grad is { } gradient)
                for (int start = 0; start < change.Length; start += squares.Length)
                    product += TensorPrimitives.Dot<float>(gradient.Data.Slice(start, squares.Length), change.AsSpan(start, squares.Length));
            values.ForgetGradient();
            return product;
        }

        public MatrixErrors Result(Estimate predicted)
        {
            int columns = squares.Length, rows = change.Length / columns;
            double norm = TensorPrimitives.SumOfSquares<float>(weights), size = Math.Sqrt(norm / weights.Length), output = 0;
            double[] bins = new double[Math.Min(Bins, columns)];
            for (int j = 0; j < columns; j++)
            {
                double lost = 0, all = 0;
                for (int i = 0; i < rows; i++)
                {
                    lost += (double)change[i * columns + j] * change[i * columns + j];
                    all += (double)weights[i * columns + j] * weights[i * columns + j];
                }
                bins[(int)((long)j * bins.Length / columns)] += lost * squares[j];
                output += all * squares[j];
            }
            float[] magnitudes = new float[change.Length];
            TensorPrimitives.Abs<float>(change, magnitudes);
            magnitudes.AsSpan().Sort();
            return new MatrixErrors(name, block, kind, norm == 0 ? 0 : TensorPrimitives.SumOfSquares<float>(change) / norm,
                [.. MatrixErrors.Quantiles.Select(share => size == 0 ? 0 : magnitudes[(int)(share * (magnitudes.Length - 1))] / size)],
                output == 0 ? [] : [.. bins.Select(bin => bin / output)], predicted);
        }
    }
}

/// <summary>What <see cref="WeightErrors"/> found.</summary>
/// <param name="Matrices">Every matrix that differs, in the model's order.</param>
/// <param name="Predicted">The KL that all changes together should cost, nats a token; matrices' changes can add up or cancel.</param>
/// <param name="Tokens">Of the windows.</param>
public sealed record WeightErrorResult(ImmutableArray<MatrixErrors> Matrices, Estimate Predicted, int Tokens);

/// <summary>How one matrix differs.</summary>
/// <param name="Name">Its full name.</param>
/// <param name="Block">Its block, or null.</param>
/// <param name="Kind">How it is stored.</param>
/// <param name="Relative">||e||^2 / ||W||^2.</param>
/// <param name="Distribution">Errors' magnitudes at <see cref="Quantiles"/>, over the root mean square of the weights.</param>
/// <param name="Channels">By runs of neighbouring input channels: the outputs' squared error that comes through them over the outputs' squares, inputs taken as uncorrelated; empty where the matrix was never multiplied by.</param>
/// <param name="Predicted">The KL that this change alone should cost, nats a token.</param>
public sealed record MatrixErrors(string Name, int? Block, string Kind, double Relative, ImmutableArray<double> Distribution, ImmutableArray<double> Channels, Estimate Predicted)
{
    /// <summary>The shares of a matrix's errors that are no larger.</summary>
    public static ImmutableArray<double> Quantiles { get; } = [0.5, 0.9, 0.99, 1];
}

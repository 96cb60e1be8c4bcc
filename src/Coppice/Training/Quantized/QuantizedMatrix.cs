using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training.Quantized;

/// <summary>One matrix that trains as integers. Between steps its parameter holds the weights; on the way forward and back it holds what they are rounded to.</summary>
sealed class QuantizedMatrix
{
    readonly QuantizedTraining options;
    readonly Tensor values;
    readonly Tensor? mask;
    readonly float[] weights, used;
    readonly byte[] zeros;
    readonly int size, groups;

    // What was rounded, where that is not the weights.
    readonly float[] moved;

    /// <summary>Stands before the first step, with steps as <see cref="QuantizedTraining.Start"/> says.</summary>
    public QuantizedMatrix(MatrixLayer layer, Parameter parameter, QuantizedTraining options)
    {
        (Layer, this.options, values, mask) = (layer, options, parameter.Tensor, parameter.Mask);
        int columns = values.Shape[1];
        size = options.GroupSize == IntWeight.WholeRow ? columns : options.GroupSize;
        if (columns % size != 0)
            throw new CoppiceException($"Quantization in training: {parameter.Name} {values.Shape}: groups of {size} do not divide its {columns} inputs");
        groups = columns / size;
        weights = new float[values.Shape.Length];
        moved = options.Noise > 0 ? new float[weights.Length] : weights;
        used = new float[values.Shape[0] * groups];
        zeros = new byte[used.Length];
        Tensor sizes = new([values.Shape[0], groups]);
        for (int group = 0; group < used.Length; group++)
        {
            ReadOnlySpan<float> own = values.Data.Slice(group * size, size);
            (float step, zeros[group]) = options.Start == StepStart.SquaredError ? LearnedStep.OfLeastError(own, options.Bits, options.Symmetric) : LearnedStep.OfRange(own, options.Bits, options.Symmetric);
            if (options.Start == StepStart.MeanSize)
                step = LearnedStep.OfMeanSize(own, options.Bits);
            sizes.Data[group] = Math.Max(step, LearnedStep.Least) / Unit;
        }
        sizes.TrackGradient();
        Sizes = new Parameter(parameter.Name + ".step", sizes, ParameterKind.Vector);
    }

    public MatrixLayer Layer { get; }

    /// <summary>
    /// [outputs, groups], each group's step over 2 / sqrt(Qp): about the mean size of its weights. Adam moves all numbers by steps alike whatever their gradients' sizes, so that steps and
    /// weights change by equal shares where they are counted in a unit of one size, which is what LSQ's scale of gradients is for.
    /// </summary>
    public Parameter Sizes { get; }

    float Unit => 2 / MathF.Sqrt(LearnedStep.Positive(options.Bits));

    /// <summary>Puts the rounded weights in place of the weights. What is drawn depends on the seed and the row alone.</summary>
    public void Round(WorkerPool pool, int seed)
    {
        values.Data.CopyTo(weights);
        RowJob job = new(this, seed);
        pool.Run(values.Shape[0], ref job);
        values.MarkChanged();
    }

    /// <summary>Puts the weights back.</summary>
    public void Restore()
    {
        weights.CopyTo(values.Data);
        values.MarkChanged();
    }

    /// <summary>Makes the gradient of the rounded weights that of the weights and of the steps.</summary>
    public void Back(WorkerPool pool)
    {
        BackJob job = new(this, values.Grad!.Data, Sizes.Tensor.Grad!.Data);
        pool.Run(values.Shape[0], ref job);
    }

    /// <summary>Keeps steps positive.</summary>
    public void Limit() => TensorPrimitives.Max(Sizes.Tensor.Data, LearnedStep.Least / Unit, Sizes.Tensor.Data);

    /// <summary>The codes and steps that <see cref="Round"/> comes to.</summary>
    public Weight Store(WorkerPool pool, int seed)
    {
        (int rows, int columns) = (values.Shape[0], values.Shape[1]);
        Round(pool, seed);
        byte[] codes = new byte[weights.Length];
        for (int i = 0; i < codes.Length; i++)
            codes[i] = LearnedStep.Code(moved[i], used[i / size], zeros[i / size], options.Bits);
        Half[] scales = Array.ConvertAll(used, step => (Half)step);
        ReadOnlySpan<byte> points = options.Symmetric ? [] : zeros;
        return mask is not null && size % 4 == 0 && 2 * mask.Data.Count(0f) == codes.Length && TwoFour.Fits(columns, mask.Data)
            ? TwoFourIntWeight.From(options.Bits, options.GroupSize, rows, columns, mask.Data, codes, scales, points)
            : new IntWeight(options.Bits, options.GroupSize, rows, columns, codes, scales, points);
    }

    readonly struct RowJob(QuantizedMatrix matrix, int seed) : IJob
    {
        public void Execute(int row)
        {
            QuantizedTraining options = matrix.options;
            Random? random = options.Noise > 0 || options.Jitter > 0 ? new Random(unchecked(seed * 1_000_003 + row)) : null;
            for (int group = row * matrix.groups; group < (row + 1) * matrix.groups; group++)
            {
                float factor = options.Jitter > 0 ? (float)(1 + options.Jitter * (2 * random!.NextDouble() - 1)) : 1;
                float step = (float)(Half)Math.Clamp(matrix.Sizes.Tensor.Data[group] * matrix.Unit * factor, LearnedStep.Least, (float)Half.MaxValue);
                matrix.used[group] = step;
                int start = group * matrix.size;
                Span<float> moved = matrix.moved.AsSpan(start, matrix.size);
                if (options.Noise > 0)
                    Move(matrix.weights.AsSpan(start, matrix.size), (float)options.Noise * step, random!, start, moved);
                LearnedStep.Round(moved, step, matrix.zeros[group], options.Bits, matrix.values.Data.Slice(start, matrix.size));
            }
        }

        // What is pruned stays 0.
        void Move(ReadOnlySpan<float> weights, float deviation, Random random, int start, Span<float> moved)
        {
            ReadOnlySpan<float> kept = matrix.mask is { } mask ? mask.Data.Slice(start, weights.Length) : default;
            for (int i = 0; i < weights.Length; i++)
                moved[i] = kept.IsEmpty || kept[i] != 0 ? weights[i] + deviation * (float)Initialization.Gaussian(random) : 0;
        }
    }

    readonly ref struct BackJob(QuantizedMatrix matrix, Span<float> gradient, Span<float> sizes) : IJob
    {
        readonly Span<float> gradient = gradient, sizes = sizes;

        public void Execute(int row)
        {
            int size = matrix.size, bits = matrix.options.Bits;
            ReadOnlySpan<float> counted = matrix.Sizes.Tensor.Data;
            for (int group = row * matrix.groups; group < (row + 1) * matrix.groups; group++)
            {
                float slope = LearnedStep.Back(matrix.moved.AsSpan(group * size, size), matrix.used[group], matrix.zeros[group], bits, gradient.Slice(group * size, size));
                // The step is a multiple of its size, whatever it was multiplied with besides.
                sizes[group] = LearnedStep.GradientScale(size, bits) * slope * matrix.used[group] / counted[group];
            }
        }
    }
}

using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>
/// Trains the residual stream's rotation R by descent along the orthogonal matrices (Cayley SGD, Li et al. 2020; SpinQuant, Liu et al. 2024), for the squared error that rounding with one scale a row leaves of each matrix, as a part of its squares. No text is read.
/// </summary>
static class RotationTraining
{
    // How far a step turns at first, as a root mean square over all axes, and what stays of the direction before.
    const float Pace = 0.05f, Momentum = 0.9f;

    // Of the fixed point that is the Cayley transform.
    const int Iterations = 6;

    // W [rows, columns]; a reader becomes W R', a writer R W.
    readonly record struct Matrix(float[] Numbers, int Rows, int Columns, bool IsReader);

    /// <summary>The rotation after <see cref="Rotate.Train"/> steps from <paramref name="start"/>.</summary>
    public static Rotation Of(DecoderModel model, Rotation start, Rotate options, ModelWork work)
    {
        List<Matrix> matrices = [.. model.Blocks.SelectMany(Matrices)];
        int width = start.Width, steps = options.Train;
        float[] r = start.ToMatrix(work.Pool), gradient = new float[r.Length], momentum = new float[r.Length];
        double first = 0;
        for (int step = 0; step < steps; step++)
        {
            work.Cancel.ThrowIfCancellationRequested();
            gradient.AsSpan().Clear();
            double error = Error(work.Pool, matrices, r, width, options.Bits, gradient);
            if (step == 0)
                first = error;
            for (int i = 0; i < momentum.Length; i++)
                momentum[i] = Momentum * momentum[i] + gradient[i];
            Turn(work.Pool, r, momentum, width, Pace * (steps - step) / steps);
            work.Progress?.Report((step + 1.0) / steps);
        }
        Rotation trained = Rotation.Near(width, r);
        double last = Error(work.Pool, matrices, trained.ToMatrix(work.Pool), width, options.Bits, gradient);
        work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"{steps} steps: rounding to {options.Bits} bits with a scale a row leaves {last:0.######} of the weights' squares, {first:0.######} before"));
        return trained;
    }

    static IEnumerable<Matrix> Matrices(TransformerBlock block)
    {
        foreach ((Linear reader, Models.RmsNorm? norm) in ResidualRotation.Readers(block))
        {
            float[] numbers = reader.Weight.ToDense();
            for (int at = 0; norm is not null && at < numbers.Length; at += reader.Weight.Columns)
                TensorPrimitives.Multiply(numbers.AsSpan(at, reader.Weight.Columns), norm.Gain.Data, numbers.AsSpan(at, reader.Weight.Columns));
            yield return new Matrix(numbers, reader.Weight.Rows, reader.Weight.Columns, IsReader: true);
        }
        foreach (Linear writer in ResidualRotation.Writers(block))
            yield return new Matrix(writer.Weight.ToDense(), writer.Weight.Rows, writer.Weight.Columns, IsReader: false);
    }

    /// <summary>The mean over matrices of ||W' - Q(W')||^2 / ||W||^2, whose derivative by R is added to <paramref name="gradient"/>.</summary>
    static double Error(WorkerPool pool, List<Matrix> matrices, float[] r, int width, int bits, float[] gradient)
    {
        double sum = 0;
        foreach (Matrix w in matrices)
        {
            float[] turned = new float[w.Numbers.Length];
            if (w.IsReader)
                Gemm.Multiply(pool, Transpose.No, Transpose.Yes, w.Rows, width, width, w.Numbers, width, r, width, turned, width, Accumulate.Overwrite);
            else
                Gemm.Multiply(pool, Transpose.No, Transpose.No, width, w.Columns, width, r, width, w.Numbers, w.Columns, turned, w.Columns, Accumulate.Overwrite);
            float norm = TensorPrimitives.SumOfSquares<float>(w.Numbers);
            if (norm == 0)
                continue;
            double[] errors = new double[w.Rows];
            RowJob job = new(turned, w.Columns, bits, 2 / (norm * matrices.Count), errors);
            pool.Run(w.Rows, ref job);
            sum += errors.Sum() / norm / matrices.Count;
            if (w.IsReader)
                Gemm.Multiply(pool, Transpose.Yes, Transpose.No, width, width, w.Rows, turned, width, w.Numbers, width, gradient, width, Accumulate.Add);
            else
                Gemm.Multiply(pool, Transpose.No, Transpose.Yes, width, width, w.Columns, turned, w.Columns, w.Numbers, w.Columns, gradient, width, Accumulate.Add);
        }
        return sum;
    }

    // R <- (1 + a/2)^-1 (1 - a/2) R, with a the skew part of G R' and as long as the pace says.
    static void Turn(WorkerPool pool, float[] r, float[] g, int width, float pace)
    {
        float[] product = new float[r.Length], skew = new float[r.Length], turned = [.. r], middle = new float[r.Length];
        Gemm.Multiply(pool, Transpose.No, Transpose.Yes, width, width, width, g, width, r, width, product, width, Accumulate.Overwrite);
        for (int i = 0; i < width; i++)
            for (int j = 0; j < width; j++)
                skew[i * width + j] = product[i * width + j] - product[j * width + i];
        float length = TensorPrimitives.Norm<float>(skew);
        if (length == 0)
            return;
        float half = pace * MathF.Sqrt(width) / length / 2;
        for (int i = 0; i < Iterations; i++)
        {
            TensorPrimitives.Add<float>(r, turned, middle);
            Gemm.Multiply(pool, Transpose.No, Transpose.No, width, width, width, skew, width, middle, width, product, width, Accumulate.Overwrite);
            TensorPrimitives.MultiplyAdd<float>(product, -half, r, turned);
        }
        turned.CopyTo(r, 0);
    }

    /// <summary>Makes a row the derivative of its error: codes standing, by the numbers themselves, and by the largest one, which the scale follows.</summary>
    readonly struct RowJob(float[] rows, int columns, int bits, float factor, double[] errors) : IJob
    {
        public void Execute(int part)
        {
            Span<float> row = rows.AsSpan(part * columns, columns);
            int largest = TensorPrimitives.IndexOfMaxMagnitude<float>(row), most = (1 << bits - 1) - 1;
            float perScale = 2f / ((1 << bits) - 1), scale = Math.Abs(row[largest]) * perScale, sign = Math.Sign(row[largest]);
            if (scale == 0)
                return;
            double error = 0, byScale = 0;
            foreach (ref float value in row)
            {
                float code = Math.Clamp(MathF.Round(value / scale), -most - 1, most), rest = value - scale * code;
                error += rest * rest;
                byScale -= rest * code;
                value = factor * rest;
            }
            row[largest] += (float)(factor * byScale * perScale * sign);
            errors[part] = error;
        }
    }
}

using System.Numerics;
using System.Numerics.Tensors;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>An orthogonal matrix R = (H x Q) D of 2^k m numbers: D random signs, Q a random orthogonal matrix [m, m], H Sylvester's Hadamard matrix over 2^(k/2). Every input reaches every output.</summary>
sealed class Rotation
{
    const int RowsTogether = 64;

    readonly float[] signs, factor;

    Rotation(double[] factor, int part, float[] signs) => (Width, this.factor, Part, this.signs) = (signs.Length, Array.ConvertAll(factor, value => (float)value), part, signs);

    /// <summary>Numbers that are turned together.</summary>
    public int Width { get; }

    /// <summary>m, the rows of Q.</summary>
    public int Part { get; }

    /// <summary>With the largest H: m is the width's odd part, and 1 for powers of two.</summary>
    public static Rotation Hadamard(int width, Random random)
    {
        int part = width >> BitOperations.TrailingZeroCount(width);
        return new Rotation(Orthogonal(part, random), part, [.. Enumerable.Range(0, width).Select(_ => random.Next(2) * 2f - 1)]);
    }

    /// <summary>Without H: Q has the whole width, and all orthogonal matrices are equally likely.</summary>
    public static Rotation Any(int width, Random random) => new(Orthogonal(width, random), width, Ones(width));

    /// <summary>The one nearby whose rows span what those of <paramref name="matrix"/> [width, width] do, one after another: itself where it is orthogonal.</summary>
    public static Rotation Near(int width, ReadOnlySpan<float> matrix)
    {
        double[] rows = new double[matrix.Length];
        for (int i = 0; i < rows.Length; i++)
            rows[i] = matrix[i];
        Orthogonalize(rows, width);
        return new Rotation(rows, width, Ones(width));
    }

    /// <summary>R, row-major.</summary>
    public float[] ToMatrix(WorkerPool pool)
    {
        float[] columns = new float[Width * Width];
        for (int i = 0; i < Width; i++)
            columns[i * Width + i] = 1;
        Apply(pool, columns);
        return GptqLayout.Transpose<float>(columns, Width, Width);
    }

    /// <summary>Makes each v of <paramref name="runs"/> [any, <see cref="Width"/>] R v.</summary>
    public void Apply(WorkerPool pool, float[] runs)
    {
        if (runs.Length % Width != 0)
            throw new ArgumentException($"Rotation: {runs.Length} numbers in runs of {Width}");
        Job job = new(this, runs);
        pool.Run((runs.Length / Width + RowsTogether - 1) / RowsTogether, ref job);
    }

    void Turn(Span<float> runs)
    {
        for (int start = 0; start < runs.Length; start += Width)
            TensorPrimitives.Multiply(runs.Slice(start, Width), signs, runs.Slice(start, Width));
        if (Part > 1)
        {
            float[] parts = runs.ToArray();
            Gemm.Multiply(Transpose.No, Transpose.Yes, parts.Length / Part, Part, Part, parts, Part, factor, Part, runs, Part, Accumulate.Overwrite);
        }
        for (int start = 0; start < runs.Length; start += Width)
            Transform(runs.Slice(start, Width), Part);
    }

    /// <summary>H over 2^k parts of <paramref name="part"/> numbers each, by sums and differences of ever longer stretches.</summary>
    static void Transform(Span<float> values, int part)
    {
        for (int length = part; length < values.Length; length *= 2)
            for (int start = 0; start < values.Length; start += 2 * length)
            {
                Span<float> a = values.Slice(start, length), b = values.Slice(start + length, length);
                for (int i = 0; i < a.Length; i++)
                    (a[i], b[i]) = (a[i] + b[i], a[i] - b[i]);
            }
        TensorPrimitives.Multiply(values, 1 / MathF.Sqrt(values.Length / part), values);
    }

    static float[] Ones(int width) => [.. Enumerable.Repeat(1f, width)];

    static double[] Orthogonal(int size, Random random)
    {
        double[] rows = new double[size * size];
        foreach (ref double value in rows.AsSpan())
            value = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        Orthogonalize(rows, size);
        return rows;
    }

    // Gram and Schmidt's way, twice for each row, since once leaves rounding errors in the plane of the others.
    static void Orthogonalize(double[] rows, int size)
    {
        for (int i = 0; i < size; i++)
        {
            Span<double> row = rows.AsSpan(i * size, size);
            for (int earlier = 0; earlier < 2 * i; earlier++)
            {
                ReadOnlySpan<double> other = rows.AsSpan(earlier % i * size, size);
                TensorPrimitives.MultiplyAdd(other, -TensorPrimitives.Dot(other, row), row, row);
            }
            TensorPrimitives.Divide(row, TensorPrimitives.Norm<double>(row), row);
        }
    }

    readonly struct Job(Rotation rotation, float[] runs) : IJob
    {
        public void Execute(int part)
        {
            int length = RowsTogether * rotation.Width, start = part * length;
            rotation.Turn(runs.AsSpan(start, Math.Min(length, runs.Length - start)));
        }
    }
}

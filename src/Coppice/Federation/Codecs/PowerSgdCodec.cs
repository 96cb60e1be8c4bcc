using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Coding;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Codecs;

/// <summary>
/// Each matrix of the delta as a product of two thin ones, with error feedback (PowerSGD, Vogels et al. 2019): P = M Q, made orthonormal; Q = M^T P; P Q^T is decoded. Q is kept for the next
/// update, so that rounds together are a power iteration. Factors are sent as 8-bit codes in runs of 256, entropy coded; vectors, and matrices that two factors would not make smaller, as float32.
/// </summary>
public sealed class PowerSgdCodec(int rank = 4) : StreamCodec
{
    const string QName = ".q";
    const int Most = 127;

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"powersgd:{rank}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

    /// <summary>What was lost, and for each matrix Q as <c>NAME.q</c> [rank, columns].</summary>
    public override ParameterSet NewMemory(ParameterSet received) => new(received.Tensors.Select(part => (part.Key, new Tensor(part.Value.Shape)))
        .Concat(received.Tensors.Where(part => IsFactored(part.Value.Shape)).Select(part => (part.Key + QName, Start(part.Key, part.Value.Shape.Columns)))));

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        ArgumentNullException.ThrowIfNull(memory);
        List<float> factors = [];
        foreach ((string name, Range range) in Places(model))
        {
            Shape shape = model.Tensors[name].Shape;
            ReadOnlySpan<float> m = numbers.AsSpan(range);
            if (!IsFactored(shape))
            {
                foreach (float value in m)
                    writer.Float(value);
                continue;
            }
            float[] p = new float[rank * shape.Rows], q = new float[rank * shape.Columns];
            Tensor kept = memory.Tensors[name + QName];
            Factor(m, shape.Columns, kept.Data, p, q);
            // A matrix that did not change must not leave nothing to start from.
            if (TensorPrimitives.MaxMagnitude<float>(q) > 0)
                q.CopyTo(kept.Data);
            factors.AddRange(p);
            factors.AddRange(q);
        }
        RunCodes.Write(writer, Runs(factors.Count), [.. factors], Most, null);
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers)
    {
        int count = 0;
        foreach ((string name, Range range) in Places(model))
        {
            Shape shape = model.Tensors[name].Shape;
            if (IsFactored(shape))
                count += rank * (shape.Rows + shape.Columns);
            else
                foreach (ref float value in numbers.AsSpan(range))
                    value = reader.Float("a number");
        }
        float[] factors = new float[count];
        RunCodes.Read(ref reader, Runs(count), factors, Most);
        ReadOnlySpan<float> rest = factors;
        foreach ((string name, Range range) in Places(model))
        {
            Shape shape = model.Tensors[name].Shape;
            if (!IsFactored(shape))
                continue;
            Multiply(rest[..(rank * shape.Rows)], rest.Slice(rank * shape.Rows, rank * shape.Columns), shape, numbers.AsSpan(range));
            rest = rest[(rank * (shape.Rows + shape.Columns))..];
        }
    }

    /// <summary>One step of the power iteration on M [rows, columns] from Q [rank, columns]: P [rank, rows], orthonormal rows, and the next Q.</summary>
    static void Factor(ReadOnlySpan<float> m, int columns, ReadOnlySpan<float> start, Span<float> p, Span<float> q)
    {
        int rank = start.Length / columns, rows = m.Length / columns;
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < rank; j++)
                p[j * rows + i] = TensorPrimitives.Dot(m.Slice(i * columns, columns), start.Slice(j * columns, columns));
        for (int j = 0; j < rank; j++)
        {
            Span<float> row = p.Slice(j * rows, rows);
            for (int before = 0; before < j; before++)
            {
                ReadOnlySpan<float> other = p.Slice(before * rows, rows);
                TensorPrimitives.MultiplyAdd(other, -TensorPrimitives.Dot(row, other), row, row);
            }
            float norm = TensorPrimitives.Norm<float>(row);
            if (norm > 0 && float.IsFinite(1 / norm))
                TensorPrimitives.Divide(row, norm, row);
            else
                row.Clear();
        }
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < rank; j++)
            {
                Span<float> row = q.Slice(j * columns, columns);
                TensorPrimitives.MultiplyAdd(m.Slice(i * columns, columns), p[j * rows + i], row, row);
            }
    }

    // sum over j of P[j, row] Q[j, column]
    void Multiply(ReadOnlySpan<float> p, ReadOnlySpan<float> q, Shape shape, Span<float> m)
    {
        for (int i = 0; i < shape.Rows; i++)
            for (int j = 0; j < rank; j++)
            {
                Span<float> row = m.Slice(i * shape.Columns, shape.Columns);
                TensorPrimitives.MultiplyAdd(q.Slice(j * shape.Columns, shape.Columns), p[j * shape.Rows + i], row, row);
            }
    }

    bool IsFactored(Shape shape) => shape.Rank == 2 && (long)rank * (shape.Rows + shape.Columns) < shape.Length;

    Tensor Start(string name, int columns)
    {
        Random random = Seeds.Generator(0, "powersgd", 0, name);
        Tensor q = new([rank, columns]);
        foreach (ref float value in q.Data)
            value = (float)(random.NextDouble() - 0.5);
        return q;
    }

    static IEnumerable<Range> Runs(int count)
    {
        for (int start = 0; start < count; start += RunCodes.Length)
            yield return start..Math.Min(count, start + RunCodes.Length);
    }
}

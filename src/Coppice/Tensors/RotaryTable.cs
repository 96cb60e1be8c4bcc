using System.Numerics.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>Rotary positions (Su et al. 2021) in Hugging Face's layout: number i of a head's first half turns with number i of its second half by position * theta^(-2i/d).</summary>
public sealed class RotaryTable
{
    const int FewestPositions = 256;

    readonly int positions;
    readonly double[] frequencies;
    readonly double amplitude;
    readonly Lock growth = new();
    volatile Angles angles = new([], []);

    /// <summary>Angles for positions 0 to <paramref name="positions"/> - 1, computed in double when a text first reaches them: what a file claims costs nothing.</summary>
    /// <param name="positions">The most positions.</param>
    /// <param name="headWidth">Numbers a head.</param>
    /// <param name="frequencies">Angles a position, one for each pair; where there are fewer than half a head, the rest of the head stays as it is.</param>
    /// <param name="amplitude">What is turned is multiplied by this, too.</param>
    public RotaryTable(int positions, int headWidth, double[] frequencies, double amplitude = 1)
    {
        if (frequencies.Length == 0 || 2 * frequencies.Length > headWidth)
            throw new ArgumentException($"RotaryTable: {frequencies.Length} pairs in a head of {headWidth}");
        (this.positions, HeadWidth, this.frequencies, this.amplitude) = (positions, headWidth, frequencies, amplitude);
    }

    /// <summary>The frequencies theta^(-2i/<paramref name="width"/>).</summary>
    public static double[] Frequencies(int width, double theta) => [.. Enumerable.Range(0, width / 2).Select(i => Math.Pow(theta, -2.0 * i / width))];

    /// <summary>Numbers a head.</summary>
    public int HeadWidth { get; }

    /// <summary>Turns x [tokens, heads * head width] in place, each token by its position.</summary>
    internal Tensor Rotate(ComputeContext context, Tensor x, ReadOnlyMemory<int> positions)
    {
        Turn(context.Pool, positions.Span, RotaryDirection.Forward, x.Data);
        if (context.Records(x))
            context.Tape!.Record<Node>().Set(context.Pool, this, x, positions);
        return x;
    }

    void Turn(WorkerPool pool, ReadOnlySpan<int> rows, RotaryDirection direction, Span<float> data)
    {
        Angles known = Reach(TensorPrimitives.Max(rows));
        Rotary.Turn(pool, data, rows, known.Cosines, known.Sines, HeadWidth, 2 * frequencies.Length, direction, Accumulate.Overwrite, data);
    }

    Angles Reach(int position)
    {
        if (position < angles.Count(frequencies.Length))
            return angles;
        lock (growth)
        {
            int count = (int)Math.Min(positions, Math.Max(Math.Max(FewestPositions, 2L * angles.Count(frequencies.Length)), position + 1L)), half = frequencies.Length;
            if (position >= count)
                throw new ArgumentOutOfRangeException(nameof(position), $"RotaryTable: position {position} of {positions}");
            Angles grown = new(new float[checked(count * half)], new float[count * half]);
            for (int row = 0; row < count; row++)
                for (int i = 0; i < half; i++)
                {
                    (double sin, double cos) = Math.SinCos(row * frequencies[i]);
                    grown.Cosines[row * half + i] = (float)(amplitude * cos);
                    grown.Sines[row * half + i] = (float)(amplitude * sin);
                }
            return angles = grown;
        }
    }

    sealed record Angles(float[] Cosines, float[] Sines)
    {
        public int Count(int pairs) => Cosines.Length / pairs;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        RotaryTable table = null!;
        Tensor x = null!;
        ReadOnlyMemory<int> positions;

        public void Set(WorkerPool pool, RotaryTable table, Tensor x, ReadOnlyMemory<int> positions) =>
            (this.pool, this.table, this.x, this.positions) = (pool, table, x, positions);

        // A rotation's transpose is the rotation back, by the same factor; x was turned in place, so its gradient is too.
        public override void Backward() => table.Turn(pool, positions.Span, RotaryDirection.Inverse, x.Grad!.Data);
    }
}

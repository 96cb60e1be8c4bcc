using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Coding;

namespace Coppice.Federation.Codecs;

/// <summary>
/// A count sketch of the delta (Charikar et al. 2002), with error feedback: each of some rows of cells adds every number, with a sign by hash, to a cell by hash. A number is estimated as the median over rows, and
/// the largest estimates, one for every ten cells, are decoded, times a gain that brings them nearest to the delta: hashing alone could send more error than it takes. Cells of several sketches with one seed could be added, but what is decoded is not linear in them. Cells are 8-bit codes in runs of 256, entropy coded.
/// </summary>
public sealed class SketchCodec(double share, int rows = 3) : StreamCodec
{
    const int Most = 127, CellsPerNumber = 10;

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"sketch:{share}:{rows}");

    /// <inheritdoc/>
    public override CodecTraits Traits => CodecTraits.Stateful;

    private protected override void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random)
    {
        ulong seed = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        int width = Width(numbers.Length);
        float[] cells = new float[rows * width];
        for (int i = 0; i < numbers.Length; i++)
            for (int row = 0; row < rows; row++)
                cells[row * width + Cell(seed, i, row, width, out float sign)] += sign * numbers[i];
        ByteWriter code = new();
        RunCodes.Write(code, Runs(cells.Length), cells, Most, null);
        float[] estimates = new float[numbers.Length];
        ByteReader reader = new(Name, code.ToArray());
        Estimate(ref reader, seed, 1, estimates);
        float norm = TensorPrimitives.SumOfSquares<float>(estimates);
        writer.UInt64(seed);
        writer.Float(norm > 0 ? TensorPrimitives.Dot<float>(numbers, estimates) / norm : 0);
        writer.Bytes(code.ToArray());
    }

    private protected override void Read(ref ByteReader reader, ParameterSet model, float[] numbers) => Estimate(ref reader, reader.UInt64("a seed"), reader.Float("a gain"), numbers);

    void Estimate(ref ByteReader reader, ulong seed, float gain, float[] numbers)
    {
        int width = Width(numbers.Length);
        float[] cells = new float[rows * width], estimates = new float[numbers.Length];
        RunCodes.Read(ref reader, Runs(cells.Length), cells, Most);
        Span<float> row = stackalloc float[rows];
        for (int i = 0; i < numbers.Length; i++)
        {
            for (int r = 0; r < rows; r++)
                row[r] = cells[r * width + Cell(seed, i, r, width, out float sign)] * sign;
            row.Sort();
            estimates[i] = (row[(rows - 1) / 2] + row[rows / 2]) / 2;
        }
        foreach (int place in TopK.Indices(estimates, Math.Min(numbers.Length, Math.Max(1, cells.Length / CellsPerNumber))))
            numbers[place] = gain * estimates[place];
    }

    int Width(int length) => Math.Max(1, (int)Math.Ceiling(share * length / rows));

    int Cell(ulong seed, int index, int row, int width, out float sign)
    {
        ulong hash = SplitMix.At(seed, (ulong)index * (ulong)rows + (ulong)row);
        sign = (hash & 1) == 0 ? 1 : -1;
        return SplitMix.Below(hash, width);
    }

    static IEnumerable<Range> Runs(int count)
    {
        for (int start = 0; start < count; start += RunCodes.Length)
            yield return start..Math.Min(count, start + RunCodes.Length);
    }
}

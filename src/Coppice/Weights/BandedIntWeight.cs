using System.Globalization;
using System.Text.RegularExpressions;
using Coppice.Coding;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>A matrix of integers with scales that are halves, which exists a band of rows at a time: made when it is asked for, and not kept. For writing what memory need not hold; products with it are slow.</summary>
internal sealed class BandedIntWeight(IntegerForm form, int rows, int columns, WorkerPool pool, Func<int, int, IntWeight> make) : Weight(rows, columns)
{
    // Of a band's numbers, so that what it takes is small beside any model.
    const int BandNumbers = 1 << 14;

    /// <summary>What kind of integers they are.</summary>
    public IntegerForm Form => form;

    /// <summary>Groups in a row.</summary>
    public int GroupsPerRow { get; } = form.GroupSize == IntWeight.WholeRow ? 1 : (columns + form.GroupSize - 1) / form.GroupSize;

    /// <inheritdoc/>
    public override long ByteCount => 4L * Rows * BitPacking.Words(Columns, form.Bits) + 2L * Rows * GroupsPerRow + (form.IsSymmetric ? 0 : ((long)Rows * GroupsPerRow * form.Bits + 7) / 8);

    /// <inheritdoc/>
    public override string Kind => form.Kind;

    /// <summary>All rows in order, a band after another; as many bands as there are threads are made at once.</summary>
    public IEnumerable<IntWeight> Bands()
    {
        int bandRows = Math.Max(1, BandNumbers / Math.Max(Columns, 1));
        IntWeight[] bands = new IntWeight[pool.Threads];
        for (int first = 0; first < Rows; first += bands.Length * bandRows)
        {
            int count = Math.Min(bands.Length, (Rows - first + bandRows - 1) / bandRows);
            MakeJob job = new(make, first, bandRows, Rows, bands);
            pool.Run(count, ref job);
            for (int i = 0; i < count; i++)
                yield return bands[i];
        }
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense) => make(firstRow, dense.Length / Columns).Unpack(0, dense);

    readonly struct MakeJob(Func<int, int, IntWeight> make, int first, int bandRows, int rows, IntWeight[] bands) : IJob
    {
        public void Execute(int part)
        {
            int row = first + part * bandRows;
            bands[part] = make(row, Math.Min(bandRows, rows - row));
        }
    }
}

/// <summary>How integers are grouped and centred.</summary>
/// <param name="Bits">1 to 8.</param>
/// <param name="GroupSize">Neighbouring inputs that share a scale, or <see cref="IntWeight.WholeRow"/>.</param>
/// <param name="IsSymmetric">Whether the zero point is 2^(bits - 1) everywhere.</param>
internal readonly record struct IntegerForm(int Bits, int GroupSize, bool IsSymmetric)
{
    /// <summary>The storage by its short name: <c>int4-g32</c>, <c>int8-channel</c>, <c>int4-g128-asym</c>.</summary>
    public string Kind => $"int{Bits}-{(GroupSize == IntWeight.WholeRow ? "channel" : $"g{GroupSize}")}{(IsSymmetric ? "" : "-asym")}";

    /// <summary>Whether GGUF has the same grid, rows being of so many numbers: blocks of 32 of up to 8 bits, with any zero point up to 7.</summary>
    public bool IsInGguf(int columns) => columns % 32 == 0 && (GroupSize == IntWeight.WholeRow || GroupSize % 32 == 0) && (IsSymmetric || Bits < 8);

    /// <summary>The form of a short name, 2 of 4 or not; null where it is of no integers.</summary>
    public static IntegerForm? Parse(string kind)
    {
        Match name = Regex.Match(kind, "^(2:4-)?int([2-8])-(g([0-9]+)|channel)(-asym)?$");
        return name.Success
            ? new IntegerForm(int.Parse(name.Groups[2].Value, CultureInfo.InvariantCulture), name.Groups[4].Success ? int.Parse(name.Groups[4].Value, CultureInfo.InvariantCulture) : IntWeight.WholeRow, !name.Groups[5].Success)
            : null;
    }
}

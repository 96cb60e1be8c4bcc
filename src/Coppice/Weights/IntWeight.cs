using Coppice.Coding;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>
/// A matrix kept as integers of 1 to 8 bits: w = (code - zero) scale, where each group of neighbouring inputs of a row has a scale and, when
/// asymmetric, a zero point; a symmetric matrix has the zero 2^(bits - 1) everywhere.
/// </summary>
public sealed class IntWeight : PackedWeight
{
    /// <summary>As a group size: one group a row.</summary>
    public const int WholeRow = -1;

    // A multiple of 32 codes is a whole number of words.
    const int Chunk = 512;

    readonly ReadOnlyMemory<uint> words;
    readonly Half[] scales;
    readonly float[] wideScales;
    readonly byte[]? zeros;
    readonly int wordsPerRow;

    /// <summary>Packs codes.</summary>
    /// <param name="bits">1 to 8.</param>
    /// <param name="groupSize">Neighbouring inputs that share a scale, or <see cref="WholeRow"/>. The last group of a row may be shorter.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    /// <param name="codes">[outputs, inputs], 0 to 2^bits - 1.</param>
    /// <param name="scales">[outputs, groups].</param>
    /// <param name="zeros">[outputs, groups], 0 to 2^bits - 1; empty for a symmetric matrix.</param>
    public IntWeight(int bits, int groupSize, int rows, int columns, ReadOnlySpan<byte> codes, ReadOnlySpan<Half> scales, ReadOnlySpan<byte> zeros)
        : this(bits, groupSize, rows, columns, PackRows(bits, rows, columns, codes), scales.ToArray(), [], zeros.IsEmpty ? null : zeros.ToArray())
    {
    }

    /// <summary>Wraps codes that are packed already: each row a dense stream of bits that starts on a word. They may be a <see cref="DeferredMemory{T}"/>: then they stay where they are.</summary>
    internal static IntWeight FromWords(int bits, int groupSize, int rows, int columns, ReadOnlyMemory<uint> words, Half[] scales, byte[]? zeros) =>
        new(bits, groupSize, rows, columns, words, scales, [], zeros);

    /// <summary>The same with scales of any precision, kept as halves where all of them are.</summary>
    internal static IntWeight FromWords(int bits, int groupSize, int rows, int columns, ReadOnlyMemory<uint> words, float[] scales, byte[]? zeros)
    {
        Half[] halves = Array.ConvertAll(scales, scale => (Half)scale);
        bool exact = true;
        for (int i = 0; i < scales.Length; i++)
            exact &= (float)halves[i] == scales[i];
        return new(bits, groupSize, rows, columns, words, exact ? halves : [], exact ? [] : scales, zeros);
    }

    IntWeight(int bits, int groupSize, int rows, int columns, ReadOnlyMemory<uint> words, Half[] scales, float[] wideScales, byte[]? zeros) : base(rows, columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 8);
        if (groupSize is < 1 and not WholeRow)
            throw new ArgumentOutOfRangeException(nameof(groupSize), $"IntWeight: groups of {groupSize}, wanted 1 or more, or {WholeRow} for a whole row");
        GroupsPerRow = groupSize == WholeRow ? 1 : (columns + groupSize - 1) / groupSize;
        wordsPerRow = BitPacking.Words(columns, bits);
        int scaleCount = scales.Length + wideScales.Length;
        if (words.Length != (long)rows * wordsPerRow || scaleCount != (long)rows * GroupsPerRow || zeros is not null && zeros.Length != scaleCount)
            throw new ArgumentException($"IntWeight: {words.Length} words, {scaleCount} scales, {zeros?.Length ?? 0} zero points for int{bits} [{rows}, {columns}] in groups of {groupSize}");
        if (zeros is not null && bits < 8 && zeros.AsSpan().IndexOfAnyExceptInRange((byte)0, (byte)((1 << bits) - 1)) >= 0)
            throw new ArgumentException($"IntWeight: a zero point past {(1 << bits) - 1}, the largest code of {bits} bits");
        (Bits, GroupSize, this.words, this.scales, this.wideScales, this.zeros) = (bits, groupSize, words, scales, wideScales, zeros);
    }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; }

    /// <summary>Neighbouring inputs that share a scale, or <see cref="WholeRow"/>.</summary>
    public int GroupSize { get; }

    /// <summary>Scales of a row.</summary>
    public int GroupsPerRow { get; }

    /// <summary>Whether there are no stored zero points.</summary>
    public bool IsSymmetric => zeros is null;

    /// <summary>[outputs, groups]; empty where they are <see cref="WideScales"/>.</summary>
    public ReadOnlySpan<Half> Scales => scales;

    /// <summary>[outputs, groups], where some scale is no half; otherwise empty.</summary>
    public ReadOnlySpan<float> WideScales => wideScales;

    /// <summary>Whether scales are <see cref="WideScales"/>.</summary>
    public bool HasWideScales => wideScales.Length > 0;

    /// <summary>[outputs, groups], empty for a symmetric matrix.</summary>
    public ReadOnlySpan<byte> Zeros => zeros;

    /// <summary>Packed codes, each row a dense stream of bits that starts on a word.</summary>
    internal ReadOnlyMemory<uint> Words => words;

    /// <summary>The same with its codes in memory.</summary>
    internal IntWeight Held() => DeferredMemory.IsDeferred(words) ? new IntWeight(Bits, GroupSize, Rows, Columns, DeferredMemory.ToArray(words, wordsPerRow), scales, wideScales, zeros) : this;

    /// <summary>The zero point of every group of a symmetric matrix.</summary>
    public int Middle => 1 << Bits - 1;

    /// <inheritdoc/>
    public override long ByteCount => 4L * words.Length + 2L * scales.Length + 4L * wideScales.Length + (zeros is null ? 0 : ((long)zeros.Length * Bits + 7) / 8);

    /// <inheritdoc/>
    public override string Kind => new IntegerForm(Bits, GroupSize, IsSymmetric).Kind;

    /// <summary>The codes of whole rows from <paramref name="firstRow"/> on.</summary>
    public void UnpackCodes(int firstRow, Span<byte> codes)
    {
        int count = Columns == 0 ? 0 : codes.Length / Columns;
        using FileRun<uint> run = new(words, count * wordsPerRow);
        ReadOnlySpan<uint> read = run.Read(firstRow * wordsPerRow, count * wordsPerRow);
        for (int row = 0; row < count; row++)
            BitPacking.Unpack(read.Slice(row * wordsPerRow, wordsPerRow), Bits, codes.Slice(row * Columns, Columns));
    }

    private protected override PanelProduct Pack(WorkerPool pool) => ToPanels(pool);

    // The kernels know groups of 32 inputs, so multiples of it as well, with halves for scales; a matrix in other groups is multiplied as float32.
    bool InKernelGroups => GroupSize == WholeRow || GroupSize % IntegerPacking.Steps == 0 && !HasWideScales;

    /// <inheritdoc/>
    public override ActivationFormat Wants => InKernelGroups ? ActivationFormat.Int8 : ActivationFormat.Float32;

    internal PanelProduct ToPanels(WorkerPool pool) => !InKernelGroups
        ? PanelProduct.Float32(pool, this)
        : HasWideScales
            ? PanelProduct.RowScaled(Integers(pool), wideScales)
            : Integers(pool);

    PanelProduct Integers(WorkerPool pool) => IntegerPacking.Pack(pool, Rows, Columns, Bits, GroupSize == WholeRow ? Columns : GroupSize, IsSymmetric, ReadCodes);

    void ReadCodes(int row, Span<byte> codes, Span<Half> rowScales, Span<byte> rowZeros)
    {
        UnpackCodes(row, codes);
        for (int i = 0; i < rowScales.Length; i++)
        {
            int group = row * GroupsPerRow + (GroupSize == WholeRow ? 0 : i * IntegerPacking.Steps / GroupSize);
            // The scale of a whole row is multiplied with its sum.
            rowScales[i] = HasWideScales ? Half.One : scales[group];
            rowZeros[i] = zeros is null ? (byte)Middle : zeros[group];
        }
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        Half[] halves = new Half[scales.Length == 0 ? 0 : order.Length * GroupsPerRow];
        float[] wide = new float[wideScales.Length == 0 ? 0 : order.Length * GroupsPerRow];
        byte[]? points = zeros is null ? null : new byte[order.Length * GroupsPerRow];
        for (int i = 0; i < order.Length; i++)
        {
            if (halves.Length > 0)
                Row<Half>(scales, order[i], GroupsPerRow).CopyTo(halves.AsSpan(i * GroupsPerRow));
            if (wide.Length > 0)
                Row<float>(wideScales, order[i], GroupsPerRow).CopyTo(wide.AsSpan(i * GroupsPerRow));
            if (points is not null)
                Row<byte>(zeros, order[i], GroupsPerRow).CopyTo(points.AsSpan(i * GroupsPerRow));
        }
        return new IntWeight(Bits, GroupSize, order.Length, Columns, DeferredMemory.Reorder(words, wordsPerRow, order), halves, wide, points);

        static ReadOnlySpan<T> Row<T>(ReadOnlySpan<T> all, int row, int length) => all.Slice(row * length, length);
    }

    internal override Weight? StackWith(IReadOnlyList<Weight> parts)
    {
        IntWeight[] all = [.. parts.Cast<IntWeight>()];
        if (Array.Exists(all, part => part.HasWideScales || part.GroupSize != GroupSize))
            return null;
        ReadOnlyMemory<uint> codes = DeferredMemory.Concat([.. all.Select(part => part.words)], wordsPerRow);
        byte[]? points = IsSymmetric ? null : [.. all.SelectMany(part => part.zeros!)];
        return new IntWeight(Bits, GroupSize, all.Sum(part => part.Rows), Columns, codes, [.. all.SelectMany(part => part.scales)], [], points);
    }

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        int count = Columns == 0 ? 0 : dense.Length / Columns;
        using FileRun<uint> run = new(words, count * wordsPerRow);
        ReadOnlySpan<uint> read = run.Read(firstRow * wordsPerRow, count * wordsPerRow);
        for (int row = 0; row < count; row++)
            UnpackRow(firstRow + row, read.Slice(row * wordsPerRow, wordsPerRow), dense.Slice(row * Columns, Columns));
    }

    void UnpackRow(int row, ReadOnlySpan<uint> packed, Span<float> dense)
    {
        Span<byte> codes = stackalloc byte[Chunk];
        int groupSize = GroupSize == WholeRow ? Columns : GroupSize;
        for (int start = 0; start < Columns; start += Chunk)
        {
            int count = Math.Min(Chunk, Columns - start);
            BitPacking.Unpack(packed[(start * Bits / 32)..], Bits, codes[..count]);
            for (int i = 0; i < count;)
            {
                int group = row * GroupsPerRow + (start + i) / groupSize;
                int end = Math.Min(count, ((start + i) / groupSize + 1) * groupSize - start);
                int zero = zeros is null ? Middle : zeros[group];
                float scale = HasWideScales ? wideScales[group] : (float)scales[group];
                for (; i < end; i++)
                    dense[start + i] = (codes[i] - zero) * scale;
            }
        }
    }

    static uint[] PackRows(int bits, int rows, int columns, ReadOnlySpan<byte> codes)
    {
        if (codes.Length != (long)rows * columns)
            throw new ArgumentException($"IntWeight: {codes.Length} codes for [{rows}, {columns}]");
        if (bits is >= 1 and < 8 && codes.IndexOfAnyExceptInRange((byte)0, (byte)((1 << bits) - 1)) is >= 0 and int wrong)
            throw new ArgumentException($"IntWeight: the code {codes[wrong]} at {wrong}, wanted 0 to {(1 << bits) - 1}");
        int wordsPerRow = BitPacking.Words(columns, bits);
        uint[] words = new uint[rows * wordsPerRow];
        for (int row = 0; row < rows; row++)
            BitPacking.Pack(codes.Slice(row * columns, columns), bits, words.AsSpan(row * wordsPerRow, wordsPerRow));
        return words;
    }
}

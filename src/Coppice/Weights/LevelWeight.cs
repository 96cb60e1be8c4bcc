using System.Buffers;
using Coppice.Coding;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>How a group's scale is stored.</summary>
public enum ScaleType
{
    /// <summary>A half.</summary>
    Float16,

    /// <summary>A float32.</summary>
    Float32,

    /// <summary>A power of two, 2^(byte - 127), as OCP's microscaling formats have it.</summary>
    PowerOfTwo,
}

/// <summary>A matrix kept as codes of a table of levels: w = level[code] scale, with a scale for each group of neighbouring inputs of a row.</summary>
public sealed class LevelWeight : PackedWeight
{
    readonly uint[] words;
    readonly float[] scales;
    readonly int wordsPerRow;

    /// <summary>Packs codes.</summary>
    /// <param name="table">What codes stand for.</param>
    /// <param name="scaleType">How scales are stored; each has to be a number of that type.</param>
    /// <param name="groupSize">Neighbouring inputs that share a scale, a divisor of the inputs, or <see cref="IntWeight.WholeRow"/>.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    /// <param name="codes">[outputs, inputs], below the table's count.</param>
    /// <param name="scales">[outputs, groups].</param>
    public LevelWeight(LevelTable table, ScaleType scaleType, int groupSize, int rows, int columns, ReadOnlySpan<byte> codes, float[] scales)
        : this(table, scaleType, groupSize, rows, columns, PackRows(table, rows, columns, codes), scales)
    {
    }

    /// <summary>Wraps codes that are packed already, each row a dense stream of <see cref="LevelTable.Bits"/> bits that starts on a word.</summary>
    internal LevelWeight(LevelTable table, ScaleType scaleType, int groupSize, int rows, int columns, uint[] words, float[] scales) : base(rows, columns)
    {
        if (groupSize != IntWeight.WholeRow && (groupSize < 1 || columns % groupSize != 0))
            throw new ArgumentException($"LevelWeight: groups of {groupSize} for {columns} inputs, wanted a divisor or {IntWeight.WholeRow}");
        GroupsPerRow = groupSize == IntWeight.WholeRow ? 1 : columns / groupSize;
        wordsPerRow = BitPacking.Words(columns, table.Bits);
        if (words.Length != (long)rows * wordsPerRow || scales.Length != (long)rows * GroupsPerRow)
            throw new ArgumentException($"LevelWeight: {words.Length} words and {scales.Length} scales for {table.Name} [{rows}, {columns}] in groups of {groupSize}");
        CheckCodes(table, words, wordsPerRow, rows, columns);
        foreach (float scale in scales)
            if (!Holds(scaleType, scale))
                throw new ArgumentException($"LevelWeight: the scale {scale} is no {scaleType}");
        (Table, ScaleType, GroupSize, this.words, this.scales) = (table, scaleType, groupSize, words, scales);
    }

    /// <summary>What codes stand for.</summary>
    public LevelTable Table { get; }

    /// <summary>How scales are stored.</summary>
    public ScaleType ScaleType { get; }

    /// <summary>Neighbouring inputs that share a scale, or <see cref="IntWeight.WholeRow"/>.</summary>
    public int GroupSize { get; }

    /// <summary>Scales of a row.</summary>
    public int GroupsPerRow { get; }

    /// <summary>[outputs, groups].</summary>
    public ReadOnlySpan<float> Scales => scales;

    /// <summary>Packed codes.</summary>
    internal ReadOnlySpan<uint> Words => words;

    /// <summary>Codes, scales and the table.</summary>
    public override long ByteCount => 4L * words.Length + (long)scales.Length * ScaleType switch { ScaleType.Float16 => 2, ScaleType.Float32 => 4, _ => 1 } + 4L * Table.Count;

    /// <inheritdoc/>
    public override string Kind => $"{(ScaleType == ScaleType.PowerOfTwo ? "mx" : "")}{Table.Name}-{(GroupSize == IntWeight.WholeRow ? "channel" : $"g{GroupSize}")}";

    /// <summary>Whether a scale is a number of a type.</summary>
    internal static bool Holds(ScaleType type, float scale) => float.IsFinite(scale) && type switch
    {
        ScaleType.Float16 => (float)(Half)scale == scale,
        ScaleType.PowerOfTwo => scale > 0 && (BitConverter.SingleToUInt32Bits(scale) & 0x7FFFFF) == 0 && float.IsNormal(scale),
        _ => true,
    };

    // Codes that are stored may be more than the table has.
    static void CheckCodes(LevelTable table, uint[] words, int wordsPerRow, int rows, int columns)
    {
        if (table.Count == 1 << table.Bits || rows == 0)
            return;
        byte[] codes = new byte[columns];
        for (int row = 0; row < rows; row++)
        {
            BitPacking.Unpack(words.AsSpan(row * wordsPerRow, wordsPerRow), table.Bits, codes);
            if (codes.AsSpan().IndexOfAnyExceptInRange((byte)0, (byte)(table.Count - 1)) is >= 0 and int wrong)
                throw new ArgumentException($"LevelWeight: the code {codes[wrong]} at [{row}, {wrong}], wanted one of {table.Count}");
        }
    }

    /// <summary>Whether matrices of a kind are stored on levels; see <see cref="Kind"/>.</summary>
    public static bool IsKind(string kind) => Array.Exists(Names, name => kind.StartsWith(name, StringComparison.Ordinal));

    static readonly string[] Names = ["nf4-", "fp4-", "fp4_bnb-", "mxfp4-", "f8_e4m3-g", "f8_e5m2-", "pow2_", "ternary-", "binary-", "nonuniform"];

    /// <summary>The codes of a row.</summary>
    public void UnpackCodes(int row, Span<byte> codes) => BitPacking.Unpack(words.AsSpan(row * wordsPerRow, wordsPerRow), Table.Bits, codes[..Columns]);

    /// <inheritdoc/>
    public override void Unpack(int firstRow, Span<float> dense)
    {
        byte[] codes = ArrayPool<byte>.Shared.Rent(dense.IsEmpty ? 0 : Columns);
        ReadOnlySpan<float> levels = Table.Levels;
        int size = GroupSize == IntWeight.WholeRow ? Columns : GroupSize;
        for (int row = firstRow; dense.Length > 0; row++, dense = dense[Columns..])
        {
            UnpackCodes(row, codes);
            for (int group = 0, i = 0; group < GroupsPerRow; group++)
            {
                float scale = scales[row * GroupsPerRow + group];
                for (int end = i + size; i < end; i++)
                    dense[i] = levels[codes[i]] * scale;
            }
        }
        ArrayPool<byte>.Shared.Return(codes);
    }

    // Levels that are whole numbers times one power of two are multiplied as integers of that many bits, the rest as float32.
    private protected override PanelProduct Pack(WorkerPool pool) => Whole is { } whole
        ? IntegerPacking.Pack(pool, Rows, Columns, whole.Bits, GroupSize == IntWeight.WholeRow ? Columns : GroupSize, symmetric: true, (row, codes, rowScales, rowZeros) =>
        {
            UnpackCodes(row, codes);
            int middle = 1 << whole.Bits - 1, size = GroupSize == IntWeight.WholeRow ? Columns : GroupSize;
            for (int i = 0; i < codes.Length; i++)
                codes[i] = (byte)(Table.Levels[codes[i]] / whole.Unit + middle);
            for (int i = 0; i < rowScales.Length; i++)
                (rowScales[i], rowZeros[i]) = ((Half)(scales[row * GroupsPerRow + i * IntegerPacking.Steps / size] * whole.Unit), (byte)middle);
        })
        : PanelProduct.Float32(pool, this);

    /// <inheritdoc/>
    public override ActivationFormat Wants => Whole is null ? ActivationFormat.Float32 : ActivationFormat.Int8;

    // The power of two that all levels are whole multiples of, and the bits of the largest multiple; null where the integer kernels cannot take them.
    (float Unit, int Bits)? Whole => whole ??= FindWhole();

    (float Unit, int Bits)? whole;

    (float Unit, int Bits)? FindWhole()
    {
        if (GroupSize != IntWeight.WholeRow && GroupSize % IntegerPacking.Steps != 0)
            return null;
        for (float unit = 1; unit >= 1 / 64f; unit /= 2)
        {
            bool isWhole = true;
            float low = 0, high = 0;
            foreach (float level in Table.Levels)
                (isWhole, low, high) = (isWhole && level / unit == MathF.Round(level / unit), Math.Min(low, level / unit), Math.Max(high, level / unit));
            if (isWhole && low >= -128 && high <= 127)
                return Array.TrueForAll(scales, scale => Holds(ScaleType.Float16, scale * unit)) ? (unit, Enumerable.Range(2, 7).First(bits => low >= -(1 << bits - 1) && high < 1 << bits - 1)) : null;
        }
        return null;
    }

    /// <inheritdoc/>
    public override Weight Reorder(ReadOnlySpan<int> order)
    {
        uint[] reordered = new uint[order.Length * wordsPerRow];
        float[] rowScales = new float[order.Length * GroupsPerRow];
        for (int i = 0; i < order.Length; i++)
        {
            words.AsSpan(order[i] * wordsPerRow, wordsPerRow).CopyTo(reordered.AsSpan(i * wordsPerRow));
            scales.AsSpan(order[i] * GroupsPerRow, GroupsPerRow).CopyTo(rowScales.AsSpan(i * GroupsPerRow));
        }
        return new LevelWeight(Table, ScaleType, GroupSize, order.Length, Columns, reordered, rowScales);
    }

    internal override Weight? StackWith(IReadOnlyList<Weight> parts)
    {
        LevelWeight[] all = [.. parts.Cast<LevelWeight>()];
        return Array.TrueForAll(all, part => part.ScaleType == ScaleType && part.Table.Levels.SequenceEqual(Table.Levels))
            ? new LevelWeight(Table, ScaleType, GroupSize, all.Sum(part => part.Rows), Columns, [.. all.SelectMany(part => part.words)], [.. all.SelectMany(part => part.scales)])
            : null;
    }

    static uint[] PackRows(LevelTable table, int rows, int columns, ReadOnlySpan<byte> codes)
    {
        if (codes.Length != (long)rows * columns)
            throw new ArgumentException($"LevelWeight: {codes.Length} codes for [{rows}, {columns}]");
        if (table.Count < 256 && codes.IndexOfAnyExceptInRange((byte)0, (byte)(table.Count - 1)) is >= 0 and int wrong)
            throw new ArgumentException($"LevelWeight: the code {codes[wrong]} at {wrong}, wanted one of {table.Count}");
        int wordsPerRow = BitPacking.Words(columns, table.Bits);
        uint[] words = new uint[rows * wordsPerRow];
        for (int row = 0; row < rows; row++)
            BitPacking.Pack(codes.Slice(row * columns, columns), table.Bits, words.AsSpan(row * wordsPerRow, wordsPerRow));
        return words;
    }
}

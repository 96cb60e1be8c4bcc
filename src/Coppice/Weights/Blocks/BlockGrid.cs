using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>A matrix in the parts of a block type, w = d s l[q] - dmin m (see <see cref="BlockShape"/>): what may still be changed before it is joined to blocks.</summary>
sealed class BlockGrid : ICodes
{
    readonly Half[] units;
    readonly sbyte[] scales, mins;
    readonly int groupsPerBlock;

    /// <summary>Parts of zeros. <paramref name="columns"/> is a multiple of the format's block size.</summary>
    public BlockGrid(BlockFormat format, int rows, int columns)
    {
        if (columns % format.Size != 0)
            throw new ArgumentException($"BlockGrid: {columns} columns for blocks of {format.Size}");
        (Format, Rows, Columns, groupsPerBlock) = (format, rows, columns, format.Size / format.Shape.GroupSize);
        int blocks = checked(rows * columns) / format.Size;
        (units, scales, mins, Codes) = (new Half[2 * blocks], new sbyte[blocks * groupsPerBlock], new sbyte[blocks * groupsPerBlock], new byte[rows * columns]);
    }

    /// <summary>The parts nearest weights [rows, columns], each column weighed by <paramref name="importance"/> (empty: all alike).</summary>
    public static BlockGrid Search(WorkerPool pool, BlockFormat format, int columns, float[] weights, float[] importance)
    {
        BlockGrid grid = new(format, weights.Length / columns, columns);
        SearchJob job = new(grid, weights, importance);
        pool.Run(grid.Rows, ref job);
        return grid;
    }

    /// <summary>Of which blocks.</summary>
    public BlockFormat Format { get; }

    /// <summary>Outputs.</summary>
    public int Rows { get; }

    /// <summary>Inputs.</summary>
    public int Columns { get; }

    /// <summary>Weights that share an s and an m.</summary>
    public int GroupSize => Format.Shape.GroupSize;

    /// <summary>Groups in a row.</summary>
    public int Groups => Columns / GroupSize;

    /// <summary>q [rows, columns].</summary>
    public byte[] Codes { get; }

    /// <summary>One block's parts, counted row after row.</summary>
    public BlockParts Parts(int block) => new(units.AsSpan(2 * block, 2), scales.AsSpan(block * groupsPerBlock, groupsPerBlock), mins.AsSpan(block * groupsPerBlock, groupsPerBlock),
        Codes.AsSpan(block * Format.Size, Format.Size));

    /// <summary>What a group's levels are multiplied by, d s, and what is taken away, dmin m, as kernels and llama.cpp compute them.</summary>
    public (float Step, float Offset) GroupOf(int group)
    {
        int block = group / groupsPerBlock;
        return ((float)units[2 * block] * Format.Shape.UnitShare * scales[group], (float)units[2 * block + 1] * mins[group]);
    }

    /// <summary>Whether groups have scales of their own within a block.</summary>
    public bool HasGroupScales => Format.Shape.Scales.Least < Format.Shape.Scales.Most;

    /// <summary>What the scales and minima of a group's block are multiplied by.</summary>
    public (float Scale, float MinScale) UnitsOf(int group) => ((float)units[2 * (group / groupsPerBlock)] * Format.Shape.UnitShare, (float)units[2 * (group / groupsPerBlock) + 1]);

    /// <summary>The levels of a group's codes.</summary>
    public void LevelsOf(int group, Span<float> levels)
    {
        for (int i = 0; i < levels.Length; i++)
            levels[i] = Format.Shape.Levels[Codes[group * GroupSize + i]];
    }

    /// <summary>The nearest to a change of a group's s and m, of steps of each, that their limits allow.</summary>
    public (int Scale, int Min) Allowed(int group, int scale, int min)
    {
        ((int least, int most), (int leastMin, int mostMin)) = (Format.Shape.Scales, Format.Shape.Mins);
        return (Math.Clamp(scales[group] + scale * Format.Shape.ScaleStep, least, most) - scales[group], Math.Clamp(mins[group] + min, leastMin, mostMin) - mins[group]);
    }

    /// <summary>Changes a group's s and m.</summary>
    public void Shift(int group, int scale, int min)
    {
        scales[group] += (sbyte)scale;
        mins[group] += (sbyte)min;
    }

    /// <summary>The numbers as they will be stored: whole groups from a place on, counted row after row.</summary>
    public void Unpack(int place, int count, Span<float> dense)
    {
        ReadOnlySpan<sbyte> levels = Format.Shape.Levels.AsSpan();
        for (int i = 0; i < count; i += GroupSize)
        {
            (float step, float offset) = GroupOf((place + i) / GroupSize);
            ReadOnlySpan<byte> codes = Codes.AsSpan(place + i, GroupSize);
            for (int j = 0; j < codes.Length; j++)
                dense[i + j] = step * levels[codes[j]] - offset;
        }
    }

    /// <summary>The numbers as they will be stored: whole rows from <paramref name="firstRow"/> on, as many as fit <paramref name="dense"/>.</summary>
    public void Unpack(int firstRow, Span<float> dense) => Unpack(firstRow * Columns, dense.Length, dense);

    /// <summary>Gives a weight, counted row after row, the code nearest a value; returns what that stands for.</summary>
    public float Settle(int place, float value)
    {
        ReadOnlySpan<sbyte> levels = Format.Shape.Levels.AsSpan();
        (float step, float offset) = GroupOf(place / GroupSize);
        int code = step == 0 ? 0 : Nearest(levels, (value + offset) / step);
        Codes[place] = (byte)code;
        return step * levels[code] - offset;
    }

    /// <summary>Gives a run of a codebook's weights, counted row after row, codes that bring it nearer to x by (x - w) A (x - w)^T: the better of what is found from those that it has and from those nearest to some numbers.</summary>
    /// <param name="metric">A [8, 8].</param>
    /// <param name="pull">x A.</param>
    /// <param name="numbers">Numbers near x.</param>
    [SkipLocalsInit]
    public void SettleRun(int place, ReadOnlySpan<float> metric, ReadOnlySpan<float> pull, ReadOnlySpan<float> numbers)
    {
        (float step, _) = GroupOf(place / GroupSize);
        if (step == 0)
            return;
        Codebook book = Format.Shape.Codebook!;
        ReadOnlySpan<sbyte> levels = Format.Shape.Levels.AsSpan();
        Span<byte> own = Codes.AsSpan(place, Codebook.Run), other = stackalloc byte[Codebook.Run];
        Span<float> scaledPull = stackalloc float[Codebook.Run], scaled = stackalloc float[Codebook.Run], weights = stackalloc float[Codebook.Run];
        TensorPrimitives.Divide(pull, step, scaledPull);
        TensorPrimitives.Divide(numbers, step, scaled);
        for (int i = 0; i < Codebook.Run; i++)
            weights[i] = metric[i * Codebook.Run + i];
        CodebookRounding.Nearest(book, scaled, weights, other);
        float cost = CodebookRounding.Settle(book, levels, metric, scaledPull, own);
        if (CodebookRounding.Settle(book, levels, metric, scaledPull, other) < cost)
            other.CopyTo(own);
    }

    /// <summary>The number that a weight, counted row after row, is stored as.</summary>
    public float ValueAt(int place) => GroupOf(place / GroupSize) is var (step, offset) ? step * Format.Shape.Levels[Codes[place]] - offset : 0;

    int Nearest(ReadOnlySpan<sbyte> levels, float level)
    {
        if (Format.Shape.IsUniform)
            return (int)Math.Clamp(MathF.Round(level) - levels[0], 0, levels.Length - 1);
        int code = 0;
        while (code < levels.Length - 1 && level > 0.5f * (levels[code] + levels[code + 1]))
            code++;
        return code;
    }

    /// <summary>A copy that can be changed by itself.</summary>
    public BlockGrid Clone()
    {
        BlockGrid copy = new(Format, Rows, Columns);
        for (int row = 0; row < Rows; row++)
            copy.CopyRow(this, row);
        return copy;
    }

    /// <summary>Takes a row from a grid of the same kind.</summary>
    public void CopyRow(BlockGrid other, int row)
    {
        int blocks = Columns / Format.Size;
        Copy(other.units, units, 2 * blocks, row);
        Copy(other.scales, scales, Groups, row);
        Copy(other.mins, mins, Groups, row);
        Copy(other.Codes, Codes, Columns, row);
    }

    static void Copy<T>(T[] from, T[] to, int length, int row) => from.AsSpan(row * length, length).CopyTo(to.AsSpan(row * length));

    readonly struct SearchJob(BlockGrid grid, float[] weights, float[] importance) : IJob
    {
        public void Execute(int part)
        {
            int size = grid.Format.Size, blocks = grid.Columns / size;
            for (int i = 0; i < blocks; i++)
                grid.Format.Search(weights.AsSpan(part * grid.Columns + i * size, size), importance.Length == 0 ? default : importance.AsSpan(i * size, size), grid.Parts(part * blocks + i));
        }
    }
}

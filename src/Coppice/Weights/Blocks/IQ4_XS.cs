using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's IQ4_XS: 256 weights in eight groups of 32, w = d (s - 32) t[q] with q from 0 to 15, a group's scale s from 0 to 63, and t the table of <see cref="NonLinearLevels"/>. 136 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IQ4_XS : IBlock<IQ4_XS>
{
    const int Groups = 8, GroupSize = 32;

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>The high two bits of s: bits 2 g and 2 g + 1 are group g's.</summary>
    public ushort ScalesHigh;

    /// <summary>The low four bits of s: bits 4 g to 4 g + 3 are group g's.</summary>
    public uint ScalesLow;

    /// <summary>q of each group.</summary>
    public Codes Values;

    /// <summary>Eight times 32 codes.</summary>
    [InlineArray(Groups)]
    public struct Codes
    {
        Q4_0.Nibbles first;
    }

    /// <inheritdoc/>
    public static int Size => 256;

    /// <inheritdoc/>
    public static string Name => "iq4_xs";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(GroupSize, [.. NonLinearLevels.Table]) { Scales = (-32, 31) };

    /// <inheritdoc/>
    public static IQ4_XS Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<IQ4_XS>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => SuperScale.Search<NonLinearLevels>(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static IQ4_XS Join(BlockParts parts)
    {
        IQ4_XS block = new() { Scale = parts.Units[0] };
        for (int group = 0; group < Groups; group++)
        {
            uint scale = (uint)(parts.Scales[group] + 32);
            block.ScalesLow |= (scale & 15) << 4 * group;
            block.ScalesHigh |= (ushort)(scale >> 4 << 2 * group);
        }
        for (int group = 0; group < Groups; group++)
            block.Values[group] = Q4_0.Nibbles.Join(parts.Codes.Slice(GroupSize * group, GroupSize));
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < Groups; group++)
        {
            parts.Scales[group] = (sbyte)GroupScale(group);
            Values[group].Split(parts.Codes[(GroupSize * group)..]);
        }
    }

    /// <summary>s - 32 of a group.</summary>
    public readonly int GroupScale(int group) => (int)(ScalesLow >> 4 * group & 15 | (uint)(ScalesHigh >> 2 * group & 3) << 4) - 32;

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<IQ4_XS>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ4_XS> blocks) => SuperBlockPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int group = 0; group < Groups; group++)
        {
            float products = 0;
            for (int i = GroupSize * group; i < GroupSize * (group + 1); i++)
                products += Level(i) * x[i];
            sum += (float)Scale * GroupScale(group) * products;
        }
        return sum;
    }

    readonly sbyte Level(int i) => NonLinearLevels.Table[Code(i)];

    readonly int Code(int i) => Values[i / GroupSize][i % 16] >> i / 16 % 2 * 4 & 15;
}

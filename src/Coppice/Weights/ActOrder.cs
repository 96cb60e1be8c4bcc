using Coppice.Coding;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>
/// Codes whose groups are not neighbours: GPTQ in the order of activations gives every input its group (<c>g_idx</c>). Sorted by group they are neighbours again, and the
/// matrix is a <see cref="PermutedWeight"/> of an <see cref="IntWeight"/>.
/// </summary>
static class ActOrder
{
    /// <summary>The inputs in the order of their groups, inputs of a group in their own; null where a group has another size than <paramref name="groupSize"/> (but for a shorter last one).</summary>
    public static int[]? Sort(ReadOnlySpan<int> groupOf, int groupSize)
    {
        int groups = (groupOf.Length + groupSize - 1) / groupSize;
        int[] filled = new int[groups], order = new int[groupOf.Length];
        for (int i = 0; i < groupOf.Length; i++)
        {
            int group = groupOf[i];
            if ((uint)group >= (uint)groups || filled[group] == Math.Min(groupSize, groupOf.Length - group * groupSize))
                return null;
            order[group * groupSize + filled[group]++] = i;
        }
        return order;
    }

    /// <summary>The group of every input of a sorted matrix.</summary>
    public static int[] GroupsOf(ReadOnlySpan<int> order, int groupSize)
    {
        int[] groupOf = new int[order.Length];
        for (int i = 0; i < order.Length; i++)
            groupOf[order[i]] = i / groupSize;
        return groupOf;
    }

    /// <summary>Whether this order changes nothing.</summary>
    public static bool IsIdentity(ReadOnlySpan<int> order)
    {
        for (int i = 0; i < order.Length; i++)
            if (order[i] != i)
                return false;
        return true;
    }

    /// <summary>Rows of packed codes in which code i is the given rows' code order[i], made when they are asked for.</summary>
    public static ReadOnlyMemory<uint> Gather(ReadOnlyMemory<uint> words, int bits, int rows, int[] order)
    {
        int perRow = BitPacking.Words(order.Length, bits);
        return new DeferredMemory<uint>(rows, perRow, (firstRow, gathered) =>
        {
            FileRun.Copy(words, firstRow * perRow, gathered);
            byte[] codes = new byte[order.Length], row = new byte[order.Length];
            for (; gathered.Length > 0; gathered = gathered[perRow..])
            {
                BitPacking.Unpack(gathered[..perRow], bits, codes);
                for (int i = 0; i < row.Length; i++)
                    row[i] = codes[order[i]];
                BitPacking.Pack(row, bits, gathered[..perRow]);
            }
        }).Memory;
    }

    /// <summary>The order that undoes an order.</summary>
    public static int[] Inverse(ReadOnlySpan<int> order)
    {
        int[] inverse = new int[order.Length];
        for (int i = 0; i < order.Length; i++)
            inverse[order[i]] = i;
        return inverse;
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors.Simd;

namespace Coppice.Weights.Blocks;

/// <summary>Eight groups of numbers side by side, a group a lane, so that nothing is ever summed across a vector: the result for a group depends neither on its lane nor on its neighbours, and is the same on every machine.</summary>
/// <param name="numbers">Number i of all eight groups, for each i.</param>
/// <param name="weights">How much each one's squared error counts, laid out in the same way; empty where all count alike.</param>
readonly ref struct GroupLanes(ReadOnlySpan<Vector256<float>> numbers, ReadOnlySpan<Vector256<float>> weights)
{
    /// <summary>Groups.</summary>
    public const int Count = 8;

    /// <summary>Number i of all groups, for each i.</summary>
    public ReadOnlySpan<Vector256<float>> Numbers { get; } = numbers;

    /// <summary>Number i's weights.</summary>
    public ReadOnlySpan<Vector256<float>> Weights { get; } = weights;

    /// <summary>The eight groups from <paramref name="first"/> on.</summary>
    public GroupLanes Of(int first, int groupSize) => new(Numbers.Slice(first / Count * groupSize, groupSize), Weights.IsEmpty ? default : Weights.Slice(first / Count * groupSize, groupSize));

    /// <summary>Eight groups, of <paramref name="count"/> times as many those at <paramref name="place"/>, from 0 on.</summary>
    public GroupLanes Eight(int place, int count) => Of(place * Count, Numbers.Length / count);

    /// <summary>Small whole numbers as bytes.</summary>
    public static void ToBytes(Vector256<float> numbers, Span<sbyte> bytes)
    {
        Vector256<int> whole = Whole(numbers);
        Vector128<short> eight = Vector128.NarrowWithSaturation(whole.GetLower(), whole.GetUpper());
        Vector128.NarrowWithSaturation(eight, eight).GetLower().CopyTo(bytes);
    }

    /// <summary>1 over each lane's scale, and 0 where that is not finite.</summary>
    public static Vector256<float> Inverse(Vector256<float> scale)
    {
        Vector256<float> inverse = Vector256<float>.One / scale;
        return Vector256.ConditionalSelect(Vector256.LessThan(Vector256.Abs(inverse), Vector256.Create(float.PositiveInfinity)), inverse, default);
    }

    /// <summary>Lays groups of numbers, eight after eight, side by side; lanes without a group get zeros.</summary>
    public static void Deal(ReadOnlySpan<float> values, int groupSize, Span<Vector256<float>> lanes)
    {
        if (values.Length == Count * lanes.Length && groupSize % 4 == 0)
        {
            for (int start = 0; start < lanes.Length; start += groupSize)
                DealFull(values.Slice(start * Count, Count * groupSize), groupSize, lanes.Slice(start, groupSize));
            return;
        }
        Span<float> to = MemoryMarshal.Cast<Vector256<float>, float>(lanes);
        if (values.Length < to.Length)
            to.Clear();
        for (int group = 0; group * groupSize < values.Length; group++)
        {
            ReadOnlySpan<float> own = values.Slice(group * groupSize, groupSize);
            int at = group / Count * Count * groupSize + group % Count;
            for (int i = 0; i < own.Length; i++, at += Count)
                to[at] = own[i];
        }
    }

    // Four numbers of each of eight groups at a time.
    static void DealFull(ReadOnlySpan<float> values, int groupSize, Span<Vector256<float>> lanes)
    {
        ref float first = ref MemoryMarshal.GetReference(values[..(Count * groupSize)]);
        for (int i = 0; i < groupSize; i += 4)
        {
            Span<Vector256<float>> four = lanes.Slice(i, 4);
            (four[0], four[1], four[2], four[3]) = Transposing.FourByFour(Pair(ref first, i), Pair(ref first, i + groupSize), Pair(ref first, i + 2 * groupSize), Pair(ref first, i + 3 * groupSize));
        }

        // Of a group and of the fourth after it.
        Vector256<float> Pair(ref float first, int at) => Vector256.Create(Vector128.LoadUnsafe(ref first, (nuint)at), Vector128.LoadUnsafe(ref first, (nuint)(at + 4 * groupSize)));
    }

    /// <summary>Gives codes, eight groups after eight side by side, back to their groups.</summary>
    public static void Gather(ReadOnlySpan<Vector256<float>> lanes, int groupSize, Span<byte> codes)
    {
        if (codes.Length == Count * lanes.Length && groupSize % 4 == 0)
        {
            for (int start = 0; start < lanes.Length; start += groupSize)
                GatherFull(lanes.Slice(start, groupSize), groupSize, codes.Slice(start * Count, Count * groupSize));
            return;
        }
        ReadOnlySpan<float> from = MemoryMarshal.Cast<Vector256<float>, float>(lanes);
        for (int group = 0; group * groupSize < codes.Length; group++)
        {
            Span<byte> own = codes.Slice(group * groupSize, groupSize);
            int at = group / Count * Count * groupSize + group % Count;
            for (int i = 0; i < own.Length; i++, at += Count)
                own[i] = (byte)from[at];
        }
    }

    static void GatherFull(ReadOnlySpan<Vector256<float>> lanes, int groupSize, Span<byte> codes)
    {
        ref byte first = ref MemoryMarshal.GetReference(codes[..(Count * groupSize)]);
        for (int i = 0; i < groupSize; i += 4)
        {
            ReadOnlySpan<Vector256<float>> four = lanes.Slice(i, 4);
            Vector256<int> a = Whole(four[0]), b = Whole(four[1]), c = Whole(four[2]), d = Whole(four[3]);
            Vector128<uint> low = Bytes(a.GetLower(), b.GetLower(), c.GetLower(), d.GetLower()), high = Bytes(a.GetUpper(), b.GetUpper(), c.GetUpper(), d.GetUpper());
            for (int group = 0; group < 4; group++)
            {
                Unsafe.WriteUnaligned(ref Unsafe.Add(ref first, group * groupSize + i), low[group]);
                Unsafe.WriteUnaligned(ref Unsafe.Add(ref first, (group + 4) * groupSize + i), high[group]);
            }
        }
    }

    // Numbers are small, so that no conversion has to look for what is out of range.
    static Vector256<int> Whole(Vector256<float> numbers) => Vector256.ConvertToInt32Native(numbers);

    // Four codes of each of four groups, from four times one of each.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<uint> Bytes(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) => Vector128.Shuffle(
        Vector128.NarrowWithSaturation(Vector128.NarrowWithSaturation(a, b), Vector128.NarrowWithSaturation(c, d)),
        Vector128.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)).AsUInt32();
}

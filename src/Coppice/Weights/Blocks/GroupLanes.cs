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

    // Eight groups, four numbers of each at a time.
    static void DealFull(ReadOnlySpan<float> values, int groupSize, Span<Vector256<float>> lanes)
    {
        for (int i = 0; i < groupSize; i += 4)
        {
            var (a, b, c, d) = Transposing.FourByFour(Of(values, 0), Of(values, 1), Of(values, 2), Of(values, 3));
            var (e, f, g, h) = Transposing.FourByFour(Of(values, 4), Of(values, 5), Of(values, 6), Of(values, 7));
            lanes[i] = Vector256.Create(a, e);
            lanes[i + 1] = Vector256.Create(b, f);
            lanes[i + 2] = Vector256.Create(c, g);
            lanes[i + 3] = Vector256.Create(d, h);

            Vector128<float> Of(ReadOnlySpan<float> all, int group) => Vector128.Create(all.Slice(group * groupSize + i, 4));
        }
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
        for (int i = 0; i < groupSize; i += 4)
        {
            Vector256<float> r0 = lanes[i], r1 = lanes[i + 1], r2 = lanes[i + 2], r3 = lanes[i + 3];
            var (a, b, c, d) = Transposing.FourByFour(r0.GetLower(), r1.GetLower(), r2.GetLower(), r3.GetLower());
            var (e, f, g, h) = Transposing.FourByFour(r0.GetUpper(), r1.GetUpper(), r2.GetUpper(), r3.GetUpper());
            (Vector128<byte> low, Vector128<byte> high) = (Narrow(a, b, c, d), Narrow(e, f, g, h));
            for (int group = 0; group < 4; group++)
            {
                MemoryMarshal.Write(codes[(group * groupSize + i)..], low.AsUInt32()[group]);
                MemoryMarshal.Write(codes[((group + 4) * groupSize + i)..], high.AsUInt32()[group]);
            }
        }
    }

    static Vector128<byte> Narrow(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d) =>
        Vector128.Narrow(Vector128.Narrow(Vector128.ConvertToInt32(a), Vector128.ConvertToInt32(b)).AsUInt16(), Vector128.Narrow(Vector128.ConvertToInt32(c), Vector128.ConvertToInt32(d)).AsUInt16());
}

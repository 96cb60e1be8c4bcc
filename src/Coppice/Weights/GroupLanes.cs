using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

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

    /// <summary>Gives codes, eight groups after eight side by side, back to their groups.</summary>
    public static void Gather(ReadOnlySpan<Vector256<float>> lanes, int groupSize, Span<byte> codes)
    {
        ReadOnlySpan<float> from = MemoryMarshal.Cast<Vector256<float>, float>(lanes);
        for (int group = 0; group * groupSize < codes.Length; group++)
        {
            Span<byte> own = codes.Slice(group * groupSize, groupSize);
            int at = group / Count * Count * groupSize + group % Count;
            for (int i = 0; i < own.Length; i++, at += Count)
                own[i] = (byte)from[at];
        }
    }
}

using System.Collections.Immutable;
using System.Numerics;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The vectors that runs of eight weights may be: points of a grid of magnitudes, each of four or of eight weights, and a sign for each weight.</summary>
public sealed class Codebook
{
    /// <summary>Weights that are rounded together.</summary>
    public const int Run = 8;

    readonly ImmutableArray<sbyte> magnitudes;
    readonly short[] ranks;
    readonly byte[] digits;
    readonly Vector256<float>[] points;

    /// <summary>The grid of the vectors whose bits are set in <paramref name="bits"/>, see <see cref="CodebookGrids"/>.</summary>
    /// <param name="length">Weights of a point.</param>
    /// <param name="magnitudes">What a weight may be without its sign, ascending, above 0.</param>
    /// <param name="hasEvenSigns">Whether the eighth sign of a run is that which makes the number of negative ones even.</param>
    internal Codebook(string bits, int length, ImmutableArray<sbyte> magnitudes, bool hasEvenSigns)
    {
        (this.magnitudes, Length, HasEvenSigns) = (magnitudes, length, hasEvenSigns);
        byte[] set = Convert.FromBase64String(bits);
        int[] vectors = [.. Enumerable.Range(0, (int)Math.Pow(magnitudes.Length, length)).Where(vector => (set[vector / 8] >> vector % 8 & 1) != 0)];
        Count = vectors.Length;
        ranks = new short[8 * set.Length];
        ranks.AsSpan().Fill(-1);
        digits = new byte[Count * length];
        points = new Vector256<float>[Count * length / Vector256<float>.Count];
        for (int point = 0; point < Count; point++)
        {
            ranks[vectors[point]] = (short)point;
            for (int i = 0, rest = vectors[point]; i < length; i++, rest /= magnitudes.Length)
            {
                digits[point * length + i] = (byte)(rest % magnitudes.Length);
                ref Vector256<float> lanes = ref points[point / 8 * length + i];
                lanes = lanes.WithElement(point % 8, magnitudes[rest % magnitudes.Length]);
            }
        }
    }

    /// <summary>Weights of a point: four or eight.</summary>
    public int Length { get; }

    /// <summary>Points.</summary>
    public int Count { get; }

    /// <summary>Whether the number of negative weights of a run is even.</summary>
    public bool HasEvenSigns { get; }

    /// <summary>The level of each code: magnitudes with either sign, ascending.</summary>
    public ImmutableArray<sbyte> Levels => [.. magnitudes.Reverse().Select(magnitude => (sbyte)-magnitude), .. magnitudes];

    /// <summary>The points, eight side by side: weight i of points 8 p to 8 p + 7 is at p <see cref="Length"/> + i.</summary>
    internal ReadOnlySpan<Vector256<float>> Points => points;

    /// <summary>The code of the least magnitude; those before it are negative.</summary>
    internal int Positive => magnitudes.Length;

    /// <summary>The code of the same magnitude with the other sign.</summary>
    internal byte Negated(byte code) => (byte)(2 * magnitudes.Length - 1 - code);

    /// <summary>Gives a point's weights their codes; the lowest bits of <paramref name="signs"/> say which are negative.</summary>
    internal void Put(int point, int signs, Span<byte> codes)
    {
        for (int i = 0; i < Length; i++)
        {
            byte code = (byte)(magnitudes.Length + digits[point * Length + i]);
            codes[i] = (signs >> i & 1) != 0 ? Negated(code) : code;
        }
    }

    /// <summary>The point that the magnitudes of some codes are.</summary>
    /// <exception cref="ArgumentException">They are none.</exception>
    internal int PointOf(ReadOnlySpan<byte> codes)
    {
        int vector = 0;
        for (int i = Length - 1; i >= 0; i--)
            vector = vector * magnitudes.Length + Math.Max(codes[i], Negated(codes[i])) - magnitudes.Length;
        return ranks[vector] is >= 0 and var rank ? rank : throw new ArgumentException($"Codebook: codes {string.Join(' ', codes.ToArray())} are no point of {Count}");
    }

    /// <summary>Which weights of a run are negative, a bit each.</summary>
    /// <exception cref="ArgumentException">An odd number where it has to be even.</exception>
    internal int SignsOf(ReadOnlySpan<byte> run)
    {
        int signs = 0;
        for (int i = 0; i < Run; i++)
            signs |= run[i] < magnitudes.Length ? 1 << i : 0;
        return !HasEvenSigns || BitOperations.PopCount((uint)signs) % 2 == 0 ? signs : throw new ArgumentException($"Codebook: signs {signs:b8}, wanted an even number");
    }

    /// <summary>All eight signs, of the seven that are stored where their number is even.</summary>
    internal static int EvenSigns(int seven) => seven | (BitOperations.PopCount((uint)seven) & 1) << 7;
}

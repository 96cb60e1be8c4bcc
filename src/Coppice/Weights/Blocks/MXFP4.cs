using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's MXFP4 (OCP Microscaling Formats 1.0): 32 weights, w = d t[q] with q from 0 to 15, d = 2^(byte - 128) and t twice the numbers of e2m1. 17 bytes. Products want d as a half, so that d past 2^15 counts as not finite and below 2^-24 as 0.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MXFP4 : IBlock<MXFP4>
{
    const int Bias = 128, Least = -24, Most = 15, NotANumber = byte.MaxValue;

    /// <summary>The largest power of two that numbers of e2m1 can have here: twice the largest d.</summary>
    public const float LargestScale = 1 << Most + 1;

    /// <summary>d's exponent, and 128; 255 is NaN.</summary>
    public byte Exponent;

    /// <summary>q: low nibbles are weights 0 to 15, high nibbles 16 to 31; the high bit is the sign.</summary>
    public Q4_0.Nibbles Values;

    /// <inheritdoc/>
    public static int Size => 32;

    /// <inheritdoc/>
    public static string Name => "mxfp4";

    /// <inheritdoc/>
    public readonly bool IsFinite => Exponent <= Bias + Most;

    /// <summary>Ascending, so that negative codes come first: the last of them is -0.</summary>
    public static BlockShape Shape { get; } = new(32, [-12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12]) { HasPowerOfTwoUnits = true };

    /// <summary>d as a half.</summary>
    internal readonly Half Scale => (Half)Unit(Exponent);

    /// <inheritdoc/>
    public static MXFP4 Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<MXFP4>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts)
    {
        if (importance.IsEmpty)
            Search<EvenWeights>(values, importance, parts);
        else
            Search<GivenWeights>(values, importance, parts);
    }

    // The least power of two whose furthest level covers the numbers, and those on either side.
    static void Search<TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) where TW : struct, IErrorWeights
    {
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, Math.Abs(value));
        int covering = largest == 0 ? Least : Math.Max(Least, (int)Math.Ceiling(Math.Log2(largest / Float4Levels.Most)));
        parts.FillOneGroup(largest == 0 ? Half.Zero : Half.PositiveInfinity);
        parts.Codes.Fill((byte)Rank(0));
        if (largest == 0 || covering > Most)
            return;
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[Size], weights = stackalloc Vector256<float>[importance.Length];
        GroupLanes.Deal(values, Size, numbers);
        GroupLanes.Deal(importance, Size, weights);
        GroupLanes x = new(numbers, weights);
        float least = float.PositiveInfinity;
        for (int exponent = Math.Max(Least, covering - 1); exponent <= Math.Min(Most, covering + 1); exponent++)
        {
            float scale = MathF.ScaleB(1, exponent), error = ScaleSearch.Error<Float4Levels, TW>(x, Vector256.Create(scale))[0];
            if (error < least)
                (least, parts.Units[0]) = (error, (Half)scale);
        }
        ScaleSearch.RoundToCodes<Float4Levels>(x, Vector256.Create((float)parts.Units[0]), numbers);
        GroupLanes.Gather(numbers, Size, parts.Codes);
    }

    /// <inheritdoc/>
    public static MXFP4 Join(BlockParts parts)
    {
        Half scale = parts.Units[0];
        if (scale == Half.Zero)
            return default;
        MXFP4 block = new() { Exponent = Half.IsFinite(scale) ? (byte)(Bias + MathF.ILogB((float)scale)) : (byte)NotANumber };
        for (int i = 0; i < Size / 2; i++)
            block.Values[i] = (byte)(Stored(parts.Codes[i]) | Stored(parts.Codes[i + Size / 2]) << 4);
        return block;
    }

    /// <summary>A block of codes of e2m1, the high bit their sign, times a power of two.</summary>
    public static MXFP4 FromCodes(float scale, ReadOnlySpan<byte> codes) => new() { Exponent = (byte)(Bias - 1 + MathF.ILogB(scale)), Values = Q4_0.Nibbles.Join(codes) };

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.FillOneGroup(Scale);
        for (int i = 0; i < Size; i++)
            parts.Codes[i] = (byte)Rank(Code(i));
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values)
    {
        float scale = Unit(Exponent);
        for (int i = 0; i < Size; i++)
            values[i] = Level(i) * scale;
    }

    static PanelProduct IBlock<MXFP4>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<MXFP4> blocks) => BlockPanelPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int i = 0; i < Size; i++)
            sum += Level(i) * x[i];
        return sum * Unit(Exponent);
    }

    readonly sbyte Level(int i) => Shape.Levels[Rank(Code(i))];

    readonly int Code(int i) => Values[i % 16] >> i / 16 * 4 & 15;

    // Between codes by size, of which 0 to 7 are negative, and codes with a sign bit.
    static int Stored(int rank) => rank < 8 ? 15 - rank : rank - 8;

    static int Rank(int stored) => stored < 8 ? stored + 8 : 15 - stored;

    static float Unit(byte exponent) => exponent == NotANumber ? float.NaN : MathF.ScaleB(1, exponent - Bias);
}

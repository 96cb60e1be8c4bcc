using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Between float32 and 16-bit numbers, rounding to nearest, ties to even. Compiled at full speed from the first call on: a conversion of a whole file is over before a warm-up would be.</summary>
static class HalfConversion
{
    const uint SingleExponent = 0x7F800000;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ToSingle(HalfFormat format, ReadOnlySpan<ushort> bits, Span<float> destination)
    {
        Span<uint> words = MemoryMarshal.Cast<float, uint>(destination)[..bits.Length];
        ref ushort source = ref MemoryMarshal.GetReference(bits);
        ref uint target = ref MemoryMarshal.GetReference(words);
        int i = 0;
        if (format == HalfFormat.Float16)
            for (; i <= bits.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            {
                Vector.Widen(Vector.LoadUnsafe(ref source, (nuint)i), out Vector<uint> low, out Vector<uint> high);
                FromHalf(low).StoreUnsafe(ref target, (nuint)i);
                FromHalf(high).StoreUnsafe(ref target, (nuint)(i + Vector<uint>.Count));
            }
        else
            for (; i <= bits.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            {
                Vector.Widen(Vector.LoadUnsafe(ref source, (nuint)i), out Vector<uint> low, out Vector<uint> high);
                (low << 16).StoreUnsafe(ref target, (nuint)i);
                (high << 16).StoreUnsafe(ref target, (nuint)(i + Vector<uint>.Count));
            }
        for (; i < bits.Length; i++)
            words[i] = format == HalfFormat.Float16 ? BitConverter.SingleToUInt32Bits((float)BitConverter.UInt16BitsToHalf(bits[i])) : (uint)bits[i] << 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FromSingle(HalfFormat format, ReadOnlySpan<float> values, Span<ushort> destination)
    {
        destination = destination[..values.Length];
        ref uint source = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(values));
        ref ushort target = ref MemoryMarshal.GetReference(destination);
        int i = 0;
        for (; i <= values.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector<uint> low = Vector.LoadUnsafe(ref source, (nuint)i), high = Vector.LoadUnsafe(ref source, (nuint)(i + Vector<uint>.Count));
            (format == HalfFormat.Float16 ? Vector.Narrow(ToHalf(low), ToHalf(high)) : Vector.Narrow(ToBFloat16(low), ToBFloat16(high))).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < values.Length; i++)
            destination[i] = format == HalfFormat.Float16
                ? BitConverter.HalfToUInt16Bits((Half)values[i])
                : (ushort)ToBFloat16(new Vector<uint>(BitConverter.SingleToUInt32Bits(values[i])))[0];
    }

    /// <summary>Numbers rounded to halves, as float32.</summary>
    /// <exception cref="CoppiceException">One is too large for a half.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Round(ReadOnlySpan<float> values, Span<float> rounded)
    {
        rounded = rounded[..values.Length];
        ref uint source = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(values));
        ref uint target = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(rounded));
        int i = 0;
        for (; i <= values.Length - Vector<uint>.Count; i += Vector<uint>.Count)
            FromHalf(ToHalf(Vector.LoadUnsafe(ref source, (nuint)i))).StoreUnsafe(ref target, (nuint)i);
        for (; i < values.Length; i++)
            rounded[i] = (float)(Half)values[i];
        int wrong = IndexOfNonFinite(rounded);
        if (wrong >= 0)
            throw new CoppiceException($"f16: the number {values[wrong]} is past 65504; store the matrix as bf16");
    }

    /// <summary>How many numbers are zero, of either sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static long CountZeros(ReadOnlySpan<ushort> bits)
    {
        long zeros = 0;
        int i = 0;
        while (i <= bits.Length - Vector<ushort>.Count)
        {
            // A lane goes up by one a zero, for as many steps as fit it.
            Vector<ushort> counts = default;
            int end = Math.Min(bits.Length - Vector<ushort>.Count, i + (ushort.MaxValue - 1) * Vector<ushort>.Count);
            for (; i <= end; i += Vector<ushort>.Count)
                counts -= Vector.Equals(new Vector<ushort>(bits[i..]) << 1, default);
            for (int lane = 0; lane < Vector<ushort>.Count; lane++)
                zeros += counts[lane];
        }
        for (; i < bits.Length; i++)
            zeros += (ushort)(bits[i] << 1) == 0 ? 1 : 0;
        return zeros;
    }

    /// <summary>The first infinity or NaN, or -1: all bits of the exponent are set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int IndexOfNonFinite(HalfFormat format, ReadOnlySpan<ushort> bits)
    {
        ushort exponent = format == HalfFormat.Float16 ? (ushort)0x7C00 : (ushort)0x7F80;
        Vector<ushort> mask = new(exponent);
        ref ushort source = ref MemoryMarshal.GetReference(bits);
        int i = 0;
        for (; i <= bits.Length - 4 * Vector<ushort>.Count; i += 4 * Vector<ushort>.Count)
        {
            Vector<ushort> a = Vector.LoadUnsafe(ref source, (nuint)i) & mask, b = Vector.LoadUnsafe(ref source, (nuint)(i + Vector<ushort>.Count)) & mask;
            Vector<ushort> c = Vector.LoadUnsafe(ref source, (nuint)(i + 2 * Vector<ushort>.Count)) & mask, d = Vector.LoadUnsafe(ref source, (nuint)(i + 3 * Vector<ushort>.Count)) & mask;
            if ((Vector.Equals(a, mask) | Vector.Equals(b, mask) | Vector.Equals(c, mask) | Vector.Equals(d, mask)) != Vector<ushort>.Zero)
                break;
        }
        for (; i < bits.Length; i++)
            if ((bits[i] & exponent) == exponent)
                return i;
        return -1;
    }

    /// <summary>The first infinity or NaN, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int IndexOfNonFinite(ReadOnlySpan<float> values)
    {
        Vector<uint> mask = new(SingleExponent);
        ref uint source = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(values));
        int i = 0;
        for (; i <= values.Length - 4 * Vector<uint>.Count; i += 4 * Vector<uint>.Count)
        {
            Vector<uint> a = Vector.LoadUnsafe(ref source, (nuint)i) & mask, b = Vector.LoadUnsafe(ref source, (nuint)(i + Vector<uint>.Count)) & mask;
            Vector<uint> c = Vector.LoadUnsafe(ref source, (nuint)(i + 2 * Vector<uint>.Count)) & mask, d = Vector.LoadUnsafe(ref source, (nuint)(i + 3 * Vector<uint>.Count)) & mask;
            if ((Vector.Equals(a, mask) | Vector.Equals(b, mask) | Vector.Equals(c, mask) | Vector.Equals(d, mask)) != Vector<uint>.Zero)
                break;
        }
        for (; i < values.Length; i++)
            if (!float.IsFinite(values[i]))
                return i;
        return -1;
    }

    // The magnitude as float bits is 2^112 too small; an exponent of ones stays one of ones.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector<uint> FromHalf(Vector<uint> bits)
    {
        Vector<uint> magnitude = (bits & new Vector<uint>(0x7FFF)) << 13;
        Vector<uint> finite = Vector.AsVectorUInt32(Vector.AsVectorSingle(magnitude) * new Vector<float>(5.192296858534828e33f));
        Vector<uint> special = Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(0x7C00 << 13)) & new Vector<uint>(SingleExponent);
        return finite | special | (bits & new Vector<uint>(0x8000)) << 16;
    }

    // A half in the low 16 bits. From 2^-14 on the exponent is set back by 112 and the last 13 bits are rounded away; below, adding 0.5 has the adder round at a half's last place;
    // from 65536 on there is infinity, and a NaN keeps its upper bits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector<uint> ToHalf(Vector<uint> bits)
    {
        Vector<uint> magnitude = bits & new Vector<uint>(0x7FFFFFFF), half = new(0x3F000000);
        Vector<uint> normal = (magnitude + new Vector<uint>(unchecked((uint)(-112 << 23)) + 0xFFF) + (magnitude >>> 13 & Vector<uint>.One)) >>> 13;
        Vector<uint> small = Vector.AsVectorUInt32(Vector.AsVectorSingle(magnitude) + Vector.AsVectorSingle(half)) - half;
        Vector<uint> large = Vector.ConditionalSelect(Vector.GreaterThan(magnitude, new Vector<uint>(SingleExponent)), new Vector<uint>(0x7E00) | magnitude >>> 13 & new Vector<uint>(0x3FF), new Vector<uint>(0x7C00));
        Vector<uint> result = Vector.ConditionalSelect(Vector.LessThan(magnitude, new Vector<uint>(0x38800000)), small, normal);
        result = Vector.ConditionalSelect(Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(0x47800000)), large, result);
        return result | (bits & new Vector<uint>(0x80000000)) >>> 16;
    }

    // Adding just under half of the last kept bit (and one more if that bit is odd) rounds to nearest even; a NaN keeps its sign and stays one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector<uint> ToBFloat16(Vector<uint> bits)
    {
        Vector<uint> rounded = (bits + new Vector<uint>(0x7FFF) + (bits >>> 16 & Vector<uint>.One)) >>> 16;
        Vector<uint> isNaN = Vector.GreaterThan(bits & new Vector<uint>(0x7FFFFFFF), new Vector<uint>(SingleExponent));
        return Vector.ConditionalSelect(isNaN, bits >>> 16 | new Vector<uint>(0x40), rounded);
    }
}

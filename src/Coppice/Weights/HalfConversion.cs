using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights;

/// <summary>Between float32 and 16-bit numbers, rounding to nearest, ties to even.</summary>
static class HalfConversion
{
    public static void ToSingle(HalfFormat format, ReadOnlySpan<ushort> bits, Span<float> destination)
    {
        if (format == HalfFormat.Float16)
        {
            TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<ushort, Half>(bits), destination);
            return;
        }
        Span<uint> words = MemoryMarshal.Cast<float, uint>(destination)[..bits.Length];
        int i = 0;
        for (; i <= bits.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(bits[i..]), out Vector<uint> low, out Vector<uint> high);
            (low << 16).CopyTo(words[i..]);
            (high << 16).CopyTo(words[(i + Vector<uint>.Count)..]);
        }
        for (; i < bits.Length; i++)
            words[i] = (uint)bits[i] << 16;
    }

    public static void FromSingle(HalfFormat format, ReadOnlySpan<float> values, Span<ushort> destination)
    {
        if (format == HalfFormat.Float16)
        {
            TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<ushort, Half>(destination));
            return;
        }
        for (int i = 0; i < values.Length; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(values[i]);
            // Adding just under half of the last kept bit (and one more if that bit is odd) rounds to nearest even; a NaN keeps its sign and stays one.
            destination[i] = (ushort)(float.IsNaN(values[i]) ? bits >> 16 | 0x40 : bits + 0x7FFF + (bits >> 16 & 1) >> 16);
        }
    }

    /// <summary>Numbers rounded to halves, as float32.</summary>
    /// <exception cref="CoppiceException">One is too large for a half.</exception>
    public static void Round(ReadOnlySpan<float> values, Span<float> rounded)
    {
        for (int i = 0; i < values.Length; i++)
        {
            rounded[i] = (float)(Half)values[i];
            if (!float.IsFinite(rounded[i]))
                throw new CoppiceException($"f16: the number {values[i]} is past 65504; store the matrix as bf16");
        }
    }

    /// <summary>The first infinity or NaN, or -1: all bits of the exponent are set.</summary>
    public static int IndexOfNonFinite(HalfFormat format, ReadOnlySpan<ushort> bits)
    {
        ushort exponent = format == HalfFormat.Float16 ? (ushort)0x7C00 : (ushort)0x7F80;
        Vector<ushort> mask = new(exponent);
        int i = 0;
        while (i <= bits.Length - Vector<ushort>.Count && !Vector.EqualsAny(new Vector<ushort>(bits[i..]) & mask, mask))
            i += Vector<ushort>.Count;
        for (; i < bits.Length; i++)
            if ((bits[i] & exponent) == exponent)
                return i;
        return -1;
    }

    /// <summary>The first infinity or NaN, or -1.</summary>
    public static int IndexOfNonFinite(ReadOnlySpan<float> values)
    {
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(values);
        Vector<uint> mask = new(0x7F800000);
        int i = 0;
        while (i <= bits.Length - Vector<uint>.Count && !Vector.EqualsAny(new Vector<uint>(bits[i..]) & mask, mask))
            i += Vector<uint>.Count;
        for (; i < bits.Length; i++)
            if (!float.IsFinite(values[i]))
                return i;
        return -1;
    }
}

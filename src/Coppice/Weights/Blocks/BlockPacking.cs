using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors.Simd;

namespace Coppice.Weights.Blocks;

/// <summary>Rounds and reads many blocks of 32 at once: the bits of <see cref="Q8_0.Pack(ReadOnlySpan{float})"/> and <see cref="Q4_0.Pack(ReadOnlySpan{float})"/>, at the width of <see cref="SimdLevel"/>.</summary>
/// <remarks>Blocks that are rare and awkward (infinities, NaNs, scales so small that their inverse is infinite) go through the scalar code.</remarks>
internal static unsafe class BlockPacking
{
    const int Infinity = 0x7F800000;

    /// <summary>Rounds whole blocks.</summary>
    public static void Pack(ReadOnlySpan<float> values, Span<Q8_0> blocks)
    {
        Check(values.Length, blocks.Length);
        fixed (float* source = values)
        fixed (Q8_0* destination = blocks)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512: Q8<BlockLanes512, Vector512<int>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector256: Q8<BlockLanes256, Vector256<int>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector128: Q8<BlockLanes128, Vector128<int>>(source, destination, blocks.Length); break;
                default: Scalar(values, blocks); break;
            }
        }
    }

    /// <summary>Rounds whole blocks.</summary>
    public static void Pack(ReadOnlySpan<float> values, Span<Q4_0> blocks)
    {
        Check(values.Length, blocks.Length);
        fixed (float* source = values)
        fixed (Q4_0* destination = blocks)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512: Q4<BlockLanes512, Vector512<int>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector256: Q4<BlockLanes256, Vector256<int>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector128: Q4<BlockLanes128, Vector128<int>>(source, destination, blocks.Length); break;
                default: Scalar(values, blocks); break;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Q8<TL, TV>(float* source, Q8_0* destination, int count) where TL : struct, IBlockLanes<TV> where TV : struct
    {
        for (; count > 0; count--, source += 32, destination++)
        {
            TV most = TL.Magnitudes(source);
            for (int i = TL.Count; i < 32; i += TL.Count)
                most = TL.Max(most, TL.Magnitudes(source + i));
            int largest = TL.Max(most);
            float scale = BitConverter.Int32BitsToSingle(largest) / 127, inverse = scale != 0 ? 1 / scale : 0;
            if (largest >= Infinity || float.IsInfinity(inverse))
            {
                *destination = Q8_0.Pack(new ReadOnlySpan<float>(source, 32));
                continue;
            }
            destination->Scale = (Half)scale;
            for (int i = 0; i < 32; i += TL.Count)
                TL.StoreRounded(source + i, inverse, (sbyte*)&destination->Values + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Q4<TL, TV>(float* source, Q4_0* destination, int count) where TL : struct, IBlockLanes<TV> where TV : struct
    {
        for (; count > 0; count--, source += 32, destination++)
        {
            TV most = TL.Magnitudes(source);
            for (int i = TL.Count; i < 32; i += TL.Count)
                most = TL.Max(most, TL.Magnitudes(source + i));
            int largest = TL.Max(most);
            // The first of equal magnitudes decides the sign.
            uint places = 0;
            for (int i = 0; i < 32; i += TL.Count)
                places |= TL.Equal(TL.Magnitudes(source + i), largest) << i;
            float extreme = largest == 0 ? 0 : source[BitOperations.TrailingZeroCount(places)];
            float scale = extreme / -8, inverse = scale != 0 ? 1 / scale : 0;
            if (largest >= Infinity || float.IsInfinity(inverse))
            {
                *destination = Q4_0.Pack(new ReadOnlySpan<float>(source, 32));
                continue;
            }
            destination->Scale = (Half)scale;
            for (int i = 0; i < 16; i += TL.Count)
                TL.StoreNibbles(source + i, inverse, (byte*)&destination->Values + i);
        }
    }

    /// <summary>The numbers that whole blocks stand for.</summary>
    public static void Unpack(ReadOnlySpan<Q8_0> blocks, Span<float> values)
    {
        Check(values.Length, blocks.Length);
        fixed (Q8_0* source = blocks)
        fixed (float* destination = values)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512: FromQ8<Lanes512, Vector512<float>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector256: FromQ8<Lanes256, Vector256<float>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector128: FromQ8<Lanes128, Vector128<float>>(source, destination, blocks.Length); break;
                default: FromQ8<Lanes1, float>(source, destination, blocks.Length); break;
            }
        }
    }

    /// <summary>The numbers that whole blocks stand for.</summary>
    public static void Unpack(ReadOnlySpan<Q4_0> blocks, Span<float> values)
    {
        Check(values.Length, blocks.Length);
        fixed (Q4_0* source = blocks)
        fixed (float* destination = values)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512: FromQ4<Lanes512, Vector512<float>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector256: FromQ4<Lanes256, Vector256<float>>(source, destination, blocks.Length); break;
                case SimdLevel.Vector128: FromQ4<Lanes128, Vector128<float>>(source, destination, blocks.Length); break;
                default: FromQ4<Lanes1, float>(source, destination, blocks.Length); break;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void FromQ8<TL, TV>(Q8_0* source, float* destination, int count) where TL : struct, ILanes<TV> where TV : struct
    {
        for (; count > 0; count--, source++, destination += 32)
        {
            TV scale = TL.Broadcast((float)source->Scale);
            for (int i = 0; i < 32; i += TL.Count)
                TL.Store(TL.Multiply(TL.LoadInt8((sbyte*)&source->Values + i), scale), destination + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void FromQ4<TL, TV>(Q4_0* source, float* destination, int count) where TL : struct, ILanes<TV> where TV : struct
    {
        TV middle = TL.Broadcast(8);
        for (; count > 0; count--, source++, destination += 32)
        {
            TV scale = TL.Broadcast((float)source->Scale);
            for (int i = 0; i < 16; i += TL.Count)
            {
                TL.Store(TL.Multiply(TL.Subtract(TL.LoadUInt4((byte*)&source->Values + i, 0), middle), scale), destination + i);
                TL.Store(TL.Multiply(TL.Subtract(TL.LoadUInt4((byte*)&source->Values + i, 4), middle), scale), destination + i + 16);
            }
        }
    }

    static void Scalar<TBlock>(ReadOnlySpan<float> values, Span<TBlock> blocks) where TBlock : unmanaged, IBlock<TBlock>
    {
        for (int i = 0; i < blocks.Length; i++)
            blocks[i] = TBlock.Pack(values.Slice(i * TBlock.Size, TBlock.Size));
    }

    static void Check(int values, int blocks)
    {
        if (values != 32L * blocks)
            throw new ArgumentException($"Pack: {values} numbers for {blocks} blocks of 32");
    }
}

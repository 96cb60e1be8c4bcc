using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Numbers of a cache as they are stored, read a vector at a time.</summary>
internal unsafe interface IKeyValueNumbers
{
    /// <summary>Bytes of a number; 0 where several share a byte, and whole rows are decoded before they are multiplied.</summary>
    static abstract int Bytes { get; }

    /// <summary>As float32, exact, without the scale that bytes have.</summary>
    static abstract TV Load<TL, TV>(byte* source) where TL : struct, ILanes<TV> where TV : struct;
}

/// <summary>float32.</summary>
internal unsafe readonly struct Float32Numbers : IKeyValueNumbers
{
    public static int Bytes => sizeof(float);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* source) where TL : struct, ILanes<TV> where TV : struct => TL.Load((float*)source);
}

/// <summary>Halves, none of them an infinity or NaN.</summary>
internal unsafe readonly struct Float16Numbers : IKeyValueNumbers
{
    public static int Bytes => sizeof(ushort);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* source) where TL : struct, ILanes<TV> where TV : struct => TL.LoadFiniteHalf((ushort*)source);
}

/// <summary>Signed bytes.</summary>
internal unsafe readonly struct Int8Numbers : IKeyValueNumbers
{
    public static int Bytes => sizeof(sbyte);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* source) where TL : struct, ILanes<TV> where TV : struct => TL.LoadInt8((sbyte*)source);
}

/// <summary>4-bit codes in <see cref="Int4Rows"/>.</summary>
internal unsafe readonly struct Int4Numbers : IKeyValueNumbers
{
    public static int Bytes => 0;
    public static TV Load<TL, TV>(byte* source) where TL : struct, ILanes<TV> where TV : struct => throw new NotSupportedException("4-bit codes are read as rows");
}

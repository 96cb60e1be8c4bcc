using System.Collections.Immutable;

namespace Coppice.Formats;

/// <summary>Numbers of a tensor that do not lie one after the other in their file; strides count numbers, none is negative.</summary>
/// <param name="Shape">The sizes of the axes, outermost first.</param>
/// <param name="Strides">Numbers from one index of an axis to the next.</param>
/// <param name="SpanBytes">Bytes from the first number to the end of the last one.</param>
/// <param name="NumberBytes">Bytes of a number.</param>
sealed record StridedLayout(ImmutableArray<long> Shape, ImmutableArray<long> Strides, long SpanBytes, int NumberBytes)
{
    /// <summary>Brings the numbers from <paramref name="first"/> on into order, as many as fit <paramref name="destination"/>.</summary>
    public void Gather(ReadOnlySpan<byte> stored, long first, Span<byte> destination)
    {
        Span<long> index = stackalloc long[Shape.Length];
        long at = 0;
        for (int axis = Shape.Length - 1; axis >= 0; axis--)
        {
            index[axis] = first % Shape[axis];
            first /= Shape[axis];
            at += index[axis] * Strides[axis];
        }
        for (; destination.Length > 0; destination = destination[NumberBytes..])
        {
            stored.Slice((int)(at * NumberBytes), NumberBytes).CopyTo(destination);
            for (int axis = Shape.Length - 1; axis >= 0; axis--)
            {
                at += Strides[axis];
                if (++index[axis] < Shape[axis])
                    break;
                at -= index[axis] * Strides[axis];
                index[axis] = 0;
            }
        }
    }
}

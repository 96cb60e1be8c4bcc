using System.Buffers;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Formats;

/// <summary>Writes a matrix row by row in a type that it is rounded to: each thread reads, rounds and writes bands of its own, so that no more than those are in memory.</summary>
static class MatrixWriter
{
    // Numbers that are read and written at a time: as float32 they stay in a core's second cache.
    const int BandNumbers = 1 << 16;

    // Numbers that are rounded at a time: they and what is stored for them stay in the first. A multiple of every block's size.
    const int PieceNumbers = 1 << 11;

    /// <summary>Writes all rows at <paramref name="begin"/> of a file, the same bytes at any number of threads; what it returns is the same too.</summary>
    /// <exception cref="CoppiceException">A number is too large for the type, or could not be read.</exception>
    public static StoredNumbers Write(WorkerPool pool, SafeFileHandle file, long begin, string name, Weight weight, GgmlType type, CancellationToken cancel = default)
    {
        int rows = Math.Max(1, BandNumbers / weight.Columns), bands = (weight.Rows + rows - 1) / rows;
        StoredNumbers[] sums = new StoredNumbers[bands];
        BandJob job = new(file, begin, name, weight, type, rows, sums, cancel);
        pool.Run(bands, ref job);
        return sums.Aggregate(default(StoredNumbers), (sum, band) => sum + band);
    }

    readonly struct BandJob(SafeFileHandle file, long begin, string name, Weight weight, GgmlType type, int bandRows, StoredNumbers[] sums, CancellationToken cancel) : IJob
    {
        public void Execute(int part)
        {
            cancel.ThrowIfCancellationRequested();
            int first = part * bandRows, rows = Math.Min(bandRows, weight.Rows - first), count = rows * weight.Columns;
            int bytes = checked(count / type.BlockSize * type.BlockBytes);
            float[] numbers = ArrayPool<float>.Shared.Rent(count);
            byte[] encoded = ArrayPool<byte>.Shared.Rent(bytes);
            weight.Unpack(first, numbers.AsSpan(0, count));
            StoredNumbers sum = default;
            Span<float> stored = stackalloc float[PieceNumbers];
            for (int at = 0; at < count; at += PieceNumbers)
            {
                ReadOnlySpan<float> piece = numbers.AsSpan(at, Math.Min(PieceNumbers, count - at));
                Encode(piece, encoded.AsSpan(at / type.BlockSize * type.BlockBytes, piece.Length / type.BlockSize * type.BlockBytes), stored[..piece.Length]);
                StoredNumbers result = StoredNumbers.Of(piece, stored[..piece.Length]);
                // One number that is not finite leaves no finite sum.
                if (!double.IsFinite(result.SquaredNorm + result.SquaredError))
                    CheckFinite((long)first * weight.Columns + at, piece, stored[..piece.Length]);
                sum += result;
            }
            sums[part] = sum;
            RandomAccess.Write(file, encoded.AsSpan(0, bytes), begin + (long)part * bandRows * weight.Columns / type.BlockSize * type.BlockBytes);
            ArrayPool<byte>.Shared.Return(encoded);
            ArrayPool<float>.Shared.Return(numbers);
        }

        void Encode(ReadOnlySpan<float> numbers, Span<byte> encoded, Span<float> stored)
        {
            if (type.Blocks is { } blocks)
            {
                blocks.Pack(numbers, encoded);
                blocks.Unpack(encoded, stored);
            }
            else if (type == GgmlType.F32)
            {
                MemoryMarshal.AsBytes(numbers).CopyTo(encoded);
                numbers.CopyTo(stored);
            }
            else
            {
                HalfFormat format = type == GgmlType.BF16 ? HalfFormat.BFloat16 : HalfFormat.Float16;
                Span<ushort> bits = MemoryMarshal.Cast<byte, ushort>(encoded);
                HalfConversion.FromSingle(format, numbers, bits);
                HalfConversion.ToSingle(format, bits, stored);
            }
        }

        void CheckFinite(long at, ReadOnlySpan<float> numbers, ReadOnlySpan<float> stored)
        {
            int wrong = HalfConversion.IndexOfNonFinite(stored), given = wrong < 0 ? -1 : HalfConversion.IndexOfNonFinite(numbers);
            if (given >= 0)
                throw new CoppiceException($"tensor '{name}' holds {numbers[given]} at [{(at + given) / weight.Columns}, {(at + given) % weight.Columns}], which is not finite");
            if (wrong >= 0)
                throw new CoppiceException($"tensor '{name}' holds {numbers[wrong]} or a neighbour too large for {type}; write it as F32 or BF16");
        }
    }
}

using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Formats;

/// <summary>Fills values of a band: of rows [count, row length], of columns [lines, count].</summary>
delegate void FillBand<T>(int first, int count, Span<T> band);

/// <summary>Writes values that are made a band at a time: each thread makes and writes bands of its own, so that no more than those are in memory. The bytes are the same at any number of threads.</summary>
static class BandWriter
{
    const int RowBytes = 1 << 20, ColumnBytes = 1 << 22;

    /// <summary>Values [rows, rowLength] at <paramref name="begin"/> of a file, in bands of rows.</summary>
    public static void Rows<T>(WorkerPool pool, SafeFileHandle file, long begin, int rows, int rowLength, FillBand<T> fill) where T : unmanaged =>
        Run(pool, file, begin, 1, rows, rowLength, RowBytes, fill);

    /// <summary>Values [lines, width], in bands of columns: what is stored the other way round. Bands are larger, as each has a piece of every line.</summary>
    public static void Columns<T>(WorkerPool pool, SafeFileHandle file, long begin, int lines, int width, FillBand<T> fill) where T : unmanaged =>
        Run(pool, file, begin, lines, width, 1, ColumnBytes, fill);

    // Rows are one line of items as long as a row; columns are lines of items of one value.
    static void Run<T>(WorkerPool pool, SafeFileHandle file, long begin, int lines, int items, int itemLength, int bandBytes, FillBand<T> fill) where T : unmanaged
    {
        long itemBytes = Math.Max(1L, (long)lines * itemLength * Unsafe.SizeOf<T>());
        int count = (int)Math.Clamp(bandBytes / itemBytes, 1, Math.Max(1, (items + pool.Threads - 1) / pool.Threads));
        BandJob<T> job = new(file, begin, lines, items, itemLength, count, fill);
        pool.Run((items + count - 1) / count, ref job);
    }

    readonly struct BandJob<T>(SafeFileHandle file, long begin, int lines, int items, int itemLength, int bandItems, FillBand<T> fill) : IJob where T : unmanaged
    {
        public void Execute(int part)
        {
            int first = part * bandItems, count = Math.Min(bandItems, items - first), length = count * itemLength;
            T[] buffer = ArrayPool<T>.Shared.Rent(lines * length);
            Span<T> band = buffer.AsSpan(0, lines * length);
            fill(first, count, band);
            for (int line = 0; line < lines; line++)
                RandomAccess.Write(file, MemoryMarshal.AsBytes(band.Slice(line * length, length)), begin + ((long)line * items + first) * itemLength * Unsafe.SizeOf<T>());
            ArrayPool<T>.Shared.Return(buffer);
        }
    }
}

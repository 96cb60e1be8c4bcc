using System.Buffers;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>Rearranges integer weights for the kernels, which want a scale for every 32 or 128 inputs; groups between repeat theirs.</summary>
static class IntegerPacking
{
    /// <summary>Inputs that share a scale.</summary>
    public const int Steps = 32;

    /// <summary>Outputs of a panel.</summary>
    public const int Lanes = IPanelDecoder.WideLanes;

    /// <summary>Bytes of a vector: four of each output.</summary>
    public const int VectorBytes = 4 * Lanes;

    /// <summary>Gives a row's codes, 0 to 2^bits - 1, and for each 32 inputs its scale and zero point.</summary>
    public delegate void CodeRow(int row, Span<byte> codes, Span<Half> scales, Span<byte> zeros);

    /// <summary>One output's place in a panel: the blocks of the panel, and its lane in each.</summary>
    public readonly ref struct PanelLane(Span<byte> panel, int blockBytes, int lane)
    {
        readonly Span<byte> panel = panel;

        /// <summary>0 to <see cref="Lanes"/> - 1.</summary>
        public int Lane => lane;

        /// <summary>The bytes of a block of all lanes.</summary>
        public Span<byte> this[int block] => panel.Slice(block * blockBytes, blockBytes);
    }

    /// <summary>Puts a row of weights into its lane of a panel, which is zeros so far.</summary>
    public delegate void LaneRow(int row, PanelLane at);

    /// <summary>Fills panels row by row, a share of them on each thread.</summary>
    public static PackedPanels<TDecoder> Fill<TDecoder>(WorkerPool pool, int rows, int columns, LaneRow put) where TDecoder : struct, IPanelDecoder
    {
        PackedPanels<TDecoder> panels = new(rows, columns);
        FillJob<TDecoder> job = new() { Panels = panels, Put = put, Parts = Math.Min(pool.Threads, Math.Max(panels.PanelCount, 1)) };
        pool.Run(job.Parts, ref job);
        return panels;
    }

    /// <summary>Integers of 1 to 8 bits whose zero point, where they are symmetric, is 2^(bits - 1).</summary>
    /// <param name="groupSteps">Inputs that share a scale, a multiple of 32.</param>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, int bits, int groupSteps, bool symmetric, CodeRow read) =>
        groupSteps % Each128.BlockSteps == 0 && columns % Each128.BlockSteps == 0 ? Pack<Each128>(pool, rows, columns, bits, symmetric, read) : Pack<Each32>(pool, rows, columns, bits, symmetric, read);

    static PanelProduct Pack<TS>(WorkerPool pool, int rows, int columns, int bits, bool symmetric, CodeRow read) where TS : struct, IScaleSteps => (bits, symmetric) switch
    {
        ( <= 4, true) => PanelProduct.OfIntegers(Fill<Int4Panels<TS>>(pool, rows, columns, Unpacked(columns, read, (codes, scales, _, at) =>
            PutNibbles<TS>(codes, scales, 8 - (1 << bits - 1), at, Int4Panels<TS>.CodesAt)))),
        ( <= 4, false) => PanelProduct.OfIntegers(Fill<Int4ZeroPanels<TS>>(pool, rows, columns, Unpacked(columns, read, (codes, scales, zeros, at) =>
        {
            PutNibbles<TS>(codes, scales, 0, at, Int4ZeroPanels<TS>.CodesAt);
            PutZeros<TS>(zeros, at);
        }))),
        (8, false) => PanelProduct.OfIntegers(Fill<Int8ZeroPanels<TS>>(pool, rows, columns, Unpacked(columns, read, (codes, scales, zeros, at) =>
        {
            foreach (ref byte code in codes)
                code ^= 128;
            foreach (ref byte zero in zeros)
                zero ^= 128;
            PutBytes<TS>(codes, scales, at, Int8ZeroPanels<TS>.CodesAt);
            PutZeros<TS>(zeros, at);
        }))),
        _ => PanelProduct.OfIntegers(Fill<Int8Panels<TS>>(pool, rows, columns, Unpacked(columns, read, (codes, scales, zeros, at) =>
        {
            for (int i = 0; i < codes.Length; i++)
                codes[i] -= zeros[i / Steps];
            PutBytes<TS>(codes, scales, at, Int8Panels<TS>.CodesAt);
        }))),
    };

    delegate void PutCodes(Span<byte> codes, ReadOnlySpan<Half> scales, Span<byte> zeros, PanelLane at);

    // Codes are padded with zeros to whole blocks of 64.
    static LaneRow Unpacked(int columns, CodeRow read, PutCodes put) => (row, at) =>
    {
        int padded = (columns + 63) / 64 * 64, groups = (columns + Steps - 1) / Steps;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(padded + groups);
        Half[] scales = ArrayPool<Half>.Shared.Rent(groups);
        Span<byte> codes = buffer.AsSpan(0, padded), zeros = buffer.AsSpan(padded, groups);
        codes[columns..].Clear();
        read(row, codes[..columns], scales.AsSpan(0, groups), zeros);
        put(codes[..(groups * Steps)], scales.AsSpan(0, groups), zeros, at);
        ArrayPool<byte>.Shared.Return(buffer);
        ArrayPool<Half>.Shared.Return(scales);
    };

    static void PutNibbles<TS>(Span<byte> codes, ReadOnlySpan<Half> scales, int shift, PanelLane at, int codesAt) where TS : struct, IScaleSteps
    {
        ReadOnlySpan<uint> fours = MemoryMarshal.Cast<byte, uint>(codes);
        uint add = (uint)shift * 0x01010101;
        for (int i = 0; i < scales.Length; i++)
        {
            Span<byte> block = Block<TS>(at, i, out int group);
            PutScale(block, TS.RowOf(group), at.Lane, scales[i]);
            Span<uint> to = MemoryMarshal.Cast<byte, uint>(block[(codesAt + group / 2 * Nibbles.Bytes)..]);
            for (int j = 0; j < 8; j++)
                to[j * Lanes + at.Lane] |= fours[i * 8 + j] + add << group % 2 * 4;
        }
    }

    static void PutBytes<TS>(Span<byte> codes, ReadOnlySpan<Half> scales, PanelLane at, int codesAt) where TS : struct, IScaleSteps
    {
        ReadOnlySpan<uint> fours = MemoryMarshal.Cast<byte, uint>(codes);
        for (int i = 0; i < scales.Length; i++)
        {
            Span<byte> block = Block<TS>(at, i, out int group);
            PutScale(block, TS.RowOf(group), at.Lane, scales[i]);
            PutVectors(fours.Slice(i * 8, 8), block[(codesAt + group * 8 * VectorBytes)..], at.Lane);
        }
    }

    static void PutZeros<TS>(ReadOnlySpan<byte> zeros, PanelLane at) where TS : struct, IScaleSteps
    {
        for (int i = 0; i < zeros.Length; i++)
        {
            Span<byte> block = Block<TS>(at, i, out int group);
            block[2 * TS.Rows * Lanes + TS.RowOf(group) * Lanes + at.Lane] = zeros[i];
        }
    }

    // The block of the i-th 32 inputs of a row, and which of its groups they are.
    static Span<byte> Block<TS>(PanelLane at, int i, out int group) where TS : struct, IScaleSteps
    {
        int groups = TS.BlockSteps / Steps;
        group = i % groups;
        return at[i / groups];
    }

    /// <summary>Nibbles of two blocks of 32. Of a block's the low ones are inputs 0 to 15; of the panel's they are the first block's.</summary>
    internal static void PutPair(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> vectors, int lane)
    {
        const uint Low = 0x0f0f0f0f;
        ReadOnlySpan<uint> a = MemoryMarshal.Cast<byte, uint>(first), b = MemoryMarshal.Cast<byte, uint>(second);
        Span<uint> to = MemoryMarshal.Cast<byte, uint>(vectors);
        for (int j = 0; j < 4; j++)
        {
            to[j * Lanes + lane] = a[j] & Low | (b[j] & Low) << 4;
            to[(j + 4) * Lanes + lane] = a[j] >> 4 & Low | b[j] & ~Low;
        }
    }

    /// <summary>A lane's half of the n-th row of halves of a block.</summary>
    internal static void PutScale(Span<byte> block, int group, int lane, Half scale) => MemoryMarshal.Cast<byte, Half>(block)[group * Lanes + lane] = scale;

    /// <summary>Every four bytes go to the same lane of the next vector.</summary>
    internal static void PutVectors(ReadOnlySpan<uint> fours, Span<byte> vectors, int lane)
    {
        Span<uint> to = MemoryMarshal.Cast<byte, uint>(vectors);
        for (int i = 0; i < fours.Length; i++)
            to[i * Lanes + lane] = fours[i];
    }

    struct FillJob<TDecoder> : IJob where TDecoder : struct, IPanelDecoder
    {
        public PackedPanels<TDecoder> Panels;
        public LaneRow Put;
        public int Parts;

        public readonly void Execute(int part)
        {
            var (first, count) = Split.Part(Panels.PanelCount, 1, Parts, part);
            for (int panel = first; panel < first + count; panel++)
                for (int row = panel * Lanes; row < Math.Min((panel + 1) * Lanes, Panels.Outputs); row++)
                    Put(row, new PanelLane(Panels.Panel(panel), TDecoder.BlockBytes, row % Lanes));
        }
    }
}

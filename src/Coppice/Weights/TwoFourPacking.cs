using System.Numerics;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>Rearranges 2:4 matrices of symmetric integers, 4 bits at most, for the kernels.</summary>
static class TwoFourPacking
{
    const int Lanes = TwoFourPanels.Lanes;

    /// <summary>All panels, a share of them on each thread.</summary>
    public static TwoFourProduct Pack(WorkerPool pool, TwoFourIntWeight weight)
    {
        TwoFourProduct product = new(weight.Rows, weight.Columns);
        Job job = new() { Product = product, Weight = weight, Parts = Math.Min(pool.Threads, Math.Max(product.PanelCount, 1)) };
        pool.Run(job.Parts, ref job);
        return product;
    }

    struct Job : IJob
    {
        public TwoFourProduct Product;
        public TwoFourIntWeight Weight;
        public int Parts;

        public readonly void Execute(int part)
        {
            // Zeros behind the row's end; a code of zero bits would stand for -8.
            byte[] kept = new byte[(Weight.Columns + 63) / 64 * 32];
            kept.AsSpan().Fill(8);
            var (first, count) = Split.Part(Product.PanelCount, 1, Parts, part);
            for (int panel = first; panel < first + count; panel++)
                for (int row = panel * Lanes; row < Math.Min((panel + 1) * Lanes, Weight.Rows); row++)
                    Put(row, kept, Product.Panel(panel), row % Lanes);
        }

        readonly void Put(int row, byte[] kept, Span<byte> panel, int lane)
        {
            IntWeight integers = Weight.Kept;
            integers.UnpackCodes(row, kept.AsSpan(0, integers.Columns));
            int shift = 8 - integers.Middle, group = integers.GroupSize == IntWeight.WholeRow ? integers.Columns : integers.GroupSize;
            foreach (ref byte code in kept.AsSpan(0, integers.Columns))
                code = (byte)(code + shift);
            ReadOnlySpan<byte> mask = TwoFour.MaskRow(Weight.MaskBytes, Weight.Columns, row);
            for (int start = 0; start < Weight.Columns; start += TwoFourPanels.Steps)
            {
                Span<byte> block = panel.Slice(start / TwoFourPanels.Steps * TwoFourPanels.Bytes, TwoFourPanels.Bytes);
                Span<uint> vectors = MemoryMarshal.Cast<byte, uint>(block);
                for (int half = 0; half < 2 && start + 32 * half < Weight.Columns; half++)
                {
                    int column = start + 32 * half;
                    MemoryMarshal.Cast<byte, Half>(block)[half * Lanes + lane] = integers.Scales[row * integers.GroupsPerRow + column / 2 / group];
                    uint places = 0;
                    for (int i = 0; i < 4; i++)
                    {
                        int eight = column + 8 * i;
                        places |= Places(eight / 8 < mask.Length ? mask[eight / 8] : 0u) << 2 * i;
                        vectors[TwoFourPanels.CodesAt / 4 + i * Lanes + lane] |= MemoryMarshal.Read<uint>(kept.AsSpan(eight / 2)) << 4 * half;
                    }
                    vectors[TwoFourPanels.PlacesAt / 4 + half * Lanes + lane] = places;
                }
            }
        }

        // Where the kept two of either four stand in it, a byte each; what lies past the end is a code that stands for zero.
        static uint Places(uint mask)
        {
            uint places = 0;
            int next = 0;
            for (int four = 0; four < 2; four++)
                for (uint bits = mask >> 4 * four & 15; bits != 0; bits &= bits - 1)
                    places |= (uint)BitOperations.TrailingZeroCount(bits) << 8 * (2 * four + next++ % 2);
            return places;
        }
    }
}

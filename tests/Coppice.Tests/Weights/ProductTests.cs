using Coppice.Tensors;
using Coppice.Tests.Weights.Blocks;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights;

/// <summary>Every kind of weight against its unpacked numbers and a plain product in double.</summary>
[Collection(Tensors.Simd.SimdCollection.Name)]
public class ProductTests
{
    static readonly string[] All = ["f32", "f16", "bf16", .. BlockFormat.All.Select(format => format.Name), "int4-g32", "int4-g32-asym", "int4-g8", "int8-channel", "int3-g32", "int4-g128-asym", "int6-g64-asym", "int8-g32-asym", "sparse-f16", "2:4-f16", "2:4-int4-g32", "int1-g32", "int4-g32-permuted", "int8-g32-asym-permuted", "f8_e4m3", "f8_e5m2", "f8_e4m3-channel", "f8_e4m3-tensor", "int8-channel-wide", "int4-g32-wide", "nf4-g32", "mxfp4-g32", "int16-channel", "ternary-channel", "binary-g32", "pow2_5-g32", "f8_e5m2-g16", "haar32-int4-g32", "haar8-int8-g32-asym"];

    public static TheoryData<string> Kinds => [.. All];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Multiply_is_the_product_with_the_unpacked_numbers(string kind)
    {
        using WorkerPool pool = new(2);
        foreach ((int rows, int columns) in SizesFor(kind, Sizes))
        {
            Weight weight = Make(kind, rows, columns);
            double[] dense = [.. weight.ToDense()];
            foreach (int count in new[] { 1, 2, 7, 33 })
            {
                float[] x = Numbers(count * columns, count), y = new float[count * rows];
                weight.Multiply(pool, new Rows(x, count, columns), new Rows(y, count, rows));
                for (int m = 0; m < count; m++)
                    for (int n = 0; n < rows; n++)
                    {
                        (double sum, double size) = (0, 0);
                        for (int k = 0; k < columns; k++)
                        {
                            sum += x[m * columns + k] * dense[n * columns + k];
                            size += Math.Abs(x[m * columns + k] * dense[n * columns + k]);
                        }
                        Assert.True(Math.Abs(sum - y[m * rows + n]) <= 1e-6 * Math.Sqrt(columns) * size, $"{kind} [{rows}, {columns}] at [{m}, {n}]: {y[m * rows + n]}, wanted {sum}");
                    }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void MultiplyTransposed_adds_the_product_with_the_unpacked_numbers(string kind)
    {
        using WorkerPool pool = new(2);
        foreach ((int rows, int columns) in SizesFor(kind, Sizes))
        {
            Weight weight = Make(kind, rows, columns);
            double[] dense = [.. weight.ToDense()];
            foreach (int count in new[] { 1, 5 })
            {
                float[] dy = Numbers(count * rows, count), before = Numbers(count * columns, 7), dx = [.. before];
                weight.MultiplyTransposed(pool, new Rows(dy, count, rows), new Rows(dx, count, columns));
                for (int m = 0; m < count; m++)
                    for (int k = 0; k < columns; k++)
                    {
                        (double sum, double size) = (before[m * columns + k], 1);
                        for (int n = 0; n < rows; n++)
                        {
                            sum += dy[m * rows + n] * dense[n * columns + k];
                            size += Math.Abs(dy[m * rows + n] * dense[n * columns + k]);
                        }
                        Assert.True(Math.Abs(sum - dx[m * columns + k]) <= 1e-6 * Math.Sqrt(rows) * size, $"{kind} [{rows}, {columns}] at [{m}, {k}]: {dx[m * columns + k]}, wanted {sum}");
                    }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_row_alone_gives_the_bits_that_it_gives_in_a_batch_on_any_threads(string kind)
    {
        using WorkerPool one = new(1), three = new(3);
        foreach ((int rows, int columns) in SizesFor(kind, (50, 64), (333, 544)))
        {
            Weight weight = Make(kind, rows, columns);
            const int Count = 29;
            float[] x = Numbers(Count * columns, 5), batch = new float[Count * rows], alone = new float[rows];
            weight.Multiply(three, new Rows(x, Count, columns), new Rows(batch, Count, rows));
            for (int m = 0; m < Count; m++)
            {
                weight.Multiply(one, new Rows(x.AsSpan(m * columns, columns), 1, columns), new Rows(alone, 1, rows));
                Assert.Equal(batch[(m * rows)..((m + 1) * rows)], alone);
            }
        }
    }

    // Sums in the stored order of columns, sums that are scaled when they are done, and sums of wavelets are others.
    public static TheoryData<string> KindsInOrder => [.. All.Where(kind => !kind.EndsWith("-permuted", StringComparison.Ordinal) && !kind.StartsWith("haar", StringComparison.Ordinal) && kind is not ("f8_e4m3-channel" or "f8_e4m3-tensor" or "int8-channel-wide"))];

    [Theory]
    [MemberData(nameof(KindsInOrder))]
    public void The_kernel_multiplies_exactly_the_unpacked_numbers(string kind)
    {
        using WorkerPool pool = new(1);
        Weight weight = Make(kind, 35, 256), dense = new DenseWeight(Tensor.From([35, 256], weight.ToDense()));
        float[] x = Numbers(3 * 256, 8), y = new float[3 * 35], wanted = new float[3 * 35];
        weight.Multiply(pool, new Rows(x, 3, 256), new Rows(y, 3, 35));
        dense.Multiply(pool, new Rows(x, 3, 256), new Rows(wanted, 3, 35));
        Assert.Equal(wanted, y);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Products_after_the_first_allocate_nothing(string kind)
    {
        using WorkerPool pool = new(1);
        Weight weight = Make(kind, 48, 256);
        float[] x = Numbers(4 * 256, 8), y = new float[4 * 48];
        Tensors.Simd.Allocations.None(() =>
        {
            weight.Multiply(pool, new Rows(x, 4, 256), new Rows(y, 4, 48));
            weight.MultiplyTransposed(pool, new Rows(y, 4, 48), new Rows(x, 4, 256));
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Sizes_that_differ_are_refused(string kind)
    {
        using WorkerPool pool = new(1);
        Weight weight = Make(kind, 4, 256);
        Assert.Throws<ArgumentException>(() => weight.Multiply(pool, new Rows(new float[31], 1, 31), new Rows(new float[4], 1, 4)));
        Assert.Throws<ArgumentException>(() => weight.Multiply(pool, new Rows(new float[256], 1, 256), new Rows(new float[5], 1, 5)));
        Assert.Throws<ArgumentException>(() => weight.MultiplyTransposed(pool, new Rows(new float[8], 2, 4), new Rows(new float[256], 1, 256)));
    }

    static readonly (int Rows, int Columns)[] Sizes = [(1, 32), (15, 32), (16, 64), (17, 96), (70, 160), (33, 544)];

    /// <summary>Blocks of 256 take no other columns.</summary>
    internal static IEnumerable<(int Rows, int Columns)> SizesFor(string kind, params (int Rows, int Columns)[] sizes) =>
        BlockFormat.Find(kind) is { Size: 256 } ? sizes.Select(size => (size.Rows, (size.Columns + 255) / 256 * 256)).Distinct() : sizes;

    internal static Weight Make(string kind, int rows, int columns)
    {
        Random random = new(rows + columns);
        float[] values = Numbers(rows * columns, rows), twoFour = [.. values];
        for (int i = 0; i < twoFour.Length; i += 4)
        {
            int drop = random.Next(4);
            twoFour[i + drop] = twoFour[i + (drop + 1 + random.Next(3)) % 4] = 0;
        }
        return kind switch
        {
            "f32" => new DenseWeight(Tensor.From([rows, columns], values)),
            "f16" => HalfWeight.From(HalfFormat.Float16, rows, columns, values),
            "bf16" => HalfWeight.From(HalfFormat.BFloat16, rows, columns, values),
            "q8_0" => BlockWeight.From<Q8_0>(rows, columns, values),
            "q4_0" => BlockWeight.From<Q4_0>(rows, columns, values),
            "int4-g32" => Int(4, 32, symmetric: true),
            "int4-g32-asym" => Int(4, 32, symmetric: false),
            "int4-g8" => Int(4, 8, symmetric: true),
            "int8-channel" => Int(8, IntWeight.WholeRow, symmetric: true),
            "int3-g32" => Int(3, 32, symmetric: true),
            "int4-g128-asym" => Int(4, 128, symmetric: false),
            "int6-g64-asym" => Int(6, 64, symmetric: false),
            "int8-g32-asym" => Int(8, 32, symmetric: false),
            "int1-g32" => Int(1, 32, symmetric: true),
            "int4-g32-permuted" => Permuted(Int(4, 32, symmetric: true)),
            "int8-g32-asym-permuted" => Permuted(Int(8, 32, symmetric: false)),
            "f8_e4m3" => Narrow(Float8Format.E4M3, []),
            "f8_e5m2" => Narrow(Float8Format.E5M2, []),
            "f8_e4m3-channel" => Narrow(Float8Format.E4M3, Numbers(rows, 3)),
            "f8_e4m3-tensor" => Narrow(Float8Format.E4M3, [0.3f]),
            "int8-channel-wide" => IntWeight.FromWords(8, IntWeight.WholeRow, rows, columns, Words(8), Numbers(rows, 3), null),
            "int4-g32-wide" => IntWeight.FromWords(4, 32, rows, columns, Words(4), Numbers(rows * columns / 32, 3), null),
            "nf4-g32" => Levels(LevelTables.Nf4, 32),
            "mxfp4-g32" => new LevelWeight(LevelTables.Fp4, ScaleType.PowerOfTwo, 32, rows, columns, Codes(4), [.. Scales(32).Select(_ => MathF.ScaleB(1, random.Next(-9, 3)))]),
            "ternary-channel" => Levels(LevelTables.Ternary, IntWeight.WholeRow),
            "binary-g32" => Levels(LevelTables.Binary, 32),
            "pow2_5-g32" => Levels(LevelTables.PowersOfTwo(5), 32),
            "f8_e5m2-g16" => Levels(LevelTables.Of(Float8Format.E5M2), 16),
            "int16-channel" => Int16Weight.From(rows, columns, values),
            "haar32-int4-g32" => new WaveletWeight(Int(4, 32, symmetric: true), 32),
            "haar8-int8-g32-asym" => new WaveletWeight(Int(8, 32, symmetric: false), 8),
            "sparse-f16" => SparseWeight.From(rows, columns, [.. values.Select(value => random.Next(2) == 0 ? 0 : value)]),
            "2:4-f16" => TwoFourWeight.From(rows, columns, twoFour),
            "2:4-int4-g32" => TwoFourIntWeight.From(4, 32, rows, columns, twoFour, Codes(4), Scales(32), []),
            _ => BlockFormatTests.Any(kind, rows, columns),
        };

        IntWeight Int(int bits, int group, bool symmetric) =>
            new(bits, group, rows, columns, Codes(bits), Scales(group), symmetric ? [] : [.. Scales(group).Select(_ => (byte)random.Next(1 << bits))]);
        LevelWeight Levels(LevelTable table, int group) =>
            new(table, ScaleType.Float16, group, rows, columns, [.. values.Select(_ => (byte)random.Next(table.Count))], [.. Scales(group).Select(scale => (float)scale)]);
        Float8Weight Narrow(Float8Format format, float[] scales)
        {
            byte[] bits = new byte[values.Length];
            Float8.FromSingle(format, values, bits);
            return new Float8Weight(format, rows, columns, bits, scales);
        }
        uint[] Words(int bits)
        {
            uint[] words = new uint[rows * columns * bits / 32];
            random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(words.AsSpan()));
            return words;
        }
        PermutedWeight Permuted(Weight stored)
        {
            int[] order = [.. Enumerable.Range(0, columns)];
            random.Shuffle(order);
            return new PermutedWeight(stored, order);
        }
        byte[] Codes(int bits) => [.. values.Select(_ => (byte)random.Next(1 << bits))];
        Half[] Scales(int group) => [.. Enumerable.Range(0, rows * (group == IntWeight.WholeRow ? 1 : (columns + group - 1) / group)).Select(_ => (Half)(random.NextSingle() * 0.1f))];
    }

    internal static float[] Numbers(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
    }
}

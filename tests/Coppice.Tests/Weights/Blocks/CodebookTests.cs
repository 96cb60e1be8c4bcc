using System.Runtime.InteropServices;
using Coppice.Tests.Compression;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>Blocks of codebooks made by hand, and rounding to their points against trying all of them.</summary>
public class CodebookTests
{
    public static TheoryData<string> Names => [.. BlockFormat.All.Where(format => format.Shape.Codebook is not null).Select(format => format.Name)];

    [Fact]
    public void A_hand_made_IQ2_XXS_block_reads_as_documented()
    {
        byte[] bytes = new byte[66];
        bytes[1] = 0x40;            // d = 2
        bytes[2] = 1;               // weights 0 to 7: point 1, which is 43 and seven times 8
        bytes[5] = 255;             // weights 24 to 31: the last point, 8 25 8 8 25 43 43 43
        bytes[6] = 0b0000_0001;     // weight 0 is negative, and so, for their number to be even, is weight 7
        bytes[9] = 0x50;            // s = 5
        float[] values = Unpack<IQ2_XXS>(bytes);
        Assert.Equal([2 * 11 / 8f * -43, 22, 22, 22, 22, 22, 22, -22], values[..8]);
        Assert.Equal([22, 2 * 11 / 8f * 25], values[24..26]);
        Assert.Equal(2 / 8f * 8, values[32]);
    }

    [Fact]
    public void A_hand_made_IQ2_XS_block_reads_as_documented()
    {
        byte[] bytes = new byte[74];
        bytes[1] = 0x40;            // d = 2
        bytes[2] = 1;               // weights 0 to 7: point 1
        bytes[3] = 0b0000_0100;     // weight 1 is negative, and so weight 7
        (bytes[64], bytes[65]) = (255, 1);  // weights 248 to 255: the last point, 43 eight times
        bytes[66] = 0x53;           // s of groups 0 and 1
        float[] values = Unpack<IQ2_XS>(bytes);
        Assert.Equal([2 * 7 / 8f * 43, -14, 14, 14, 14, 14, 14, -14], values[..8]);
        Assert.Equal(2 * 11 / 8f * 8, values[16]);
        Assert.Equal(2 / 8f * 43, values[255]);
    }

    [Fact]
    public void A_hand_made_IQ2_S_block_reads_as_documented()
    {
        byte[] bytes = new byte[82];
        bytes[1] = 0x40;            // d = 2
        bytes[3] = 1;               // weights 8 to 15: point 513 with the bit below, 25 8 8 25 25 8 8 25
        bytes[66] = 0b00_00_10_00;
        bytes[35] = 0b1000_0000;    // weight 15 is negative, alone
        bytes[74] = 0x53;
        float[] values = Unpack<IQ2_S>(bytes);
        Assert.Equal([14, 14], values[..2]);
        Assert.Equal([2 * 7 / 8f * 25, 14, 14, 2 * 7 / 8f * 25, 2 * 7 / 8f * 25, 14, 14, 2 * 7 / 8f * -25], values[8..16]);
        Assert.Equal(2 * 11 / 8f * 8, values[16]);
    }

    [Fact]
    public void A_hand_made_IQ3_XXS_block_reads_as_documented()
    {
        byte[] bytes = new byte[98];
        bytes[1] = 0x40;            // d = 2
        bytes[3] = 1;               // weights 4 to 7: point 1, 20 4 4 4
        bytes[65] = 255;            // weights 252 to 255: the last, 4 28 52 62
        bytes[66] = 0b0001_0000;    // weight 4 is negative, and so weight 7
        bytes[69] = 0x50;           // s = 5
        float[] values = Unpack<IQ3_XXS>(bytes);
        Assert.Equal([22, 22, 22, 22, 2 * 11 / 4f * -20, 22, 22, -22], values[..8]);
        Assert.Equal([2 / 4f * 4, 2 / 4f * 28, 2 / 4f * 52, 2 / 4f * 62], values[252..]);
    }

    [Fact]
    public void A_hand_made_IQ3_S_block_reads_as_documented()
    {
        byte[] bytes = new byte[110];
        bytes[1] = 0x40;            // d = 2
        bytes[2] = 1;               // weights 0 to 3: point 1, 3 1 1 1
        bytes[66] = 0b0000_0010;    // weights 4 to 7: point 256, 7 5 9 5
        bytes[74] = 0b1000_0001;    // weights 0 and 7 are negative
        bytes[106] = 0x50;          // s of group 1 = 5
        float[] values = Unpack<IQ3_S>(bytes);
        Assert.Equal([-6, 2, 2, 2, 14, 10, 18, -10], values[..8]);
        Assert.Equal(2 * 11, values[32]);
    }

    static float[] Unpack<TBlock>(byte[] bytes) where TBlock : unmanaged, IBlock<TBlock>
    {
        float[] values = new float[TBlock.Size];
        MemoryMarshal.Read<TBlock>(bytes).Unpack(values);
        return values;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_nearest_point_is_that_which_trying_each_finds(string name)
    {
        Codebook book = BlockFormat.Find(name)!.Shape.Codebook!;
        for (int seed = 0; seed < 40; seed++)
        {
            float[] x = [.. Samples.Gaussian(book.Length, seed).Select(value => value * book.Levels[^1] / 2)], weights = [.. Samples.Gaussian(book.Length, seed + 100).Select(value => value * value)];
            float[][] points = [.. Enumerable.Range(0, book.Count).Select(point => Point(book, point))];
            Assert.Equal(points.Min(point => Error(point, x, weights)), Error(points[CodebookPoints.Nearest(book, x, weights)], x, weights), 1e-2);

            float[] linear = Samples.Gaussian(book.Length, seed + 200), squares = [.. Samples.Gaussian(book.Length * (book.Length + 1) / 2, seed + 300).Select(value => value / 50)];
            Assert.Equal(points.Min(point => Form(point, linear, squares)), Form(points[CodebookPoints.Least(book, linear, squares)], linear, squares), 1e-2);
        }

        static double Error(float[] point, float[] x, float[] weights) => point.Select((level, i) => weights[i] * Math.Pow(level - x[i], 2)).Sum();

        static double Form(float[] point, float[] linear, float[] squares)
        {
            double sum = 0;
            for (int i = 0, at = 0; i < point.Length; i++)
            {
                sum += point[i] * linear[i];
                for (int j = 0; j <= i; j++)
                    sum += (double)point[i] * point[j] * squares[at++];
            }
            return sum;
        }
    }

    static float[] Point(Codebook book, int point)
    {
        byte[] codes = new byte[book.Length];
        book.Put(point, 0, codes);
        Assert.Equal(point, book.PointOf(codes));
        return [.. codes.Select(code => (float)book.Levels[code])];
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Settling_a_run_ends_where_no_other_point_and_no_turned_signs_are_better(string name)
    {
        Codebook book = BlockFormat.Find(name)!.Shape.Codebook!;
        for (int seed = 0; seed < 30; seed++)
        {
            // A = G G^T + 1, numbers of the levels' size.
            float[] g = Samples.Gaussian(64, seed), numbers = [.. Samples.Gaussian(8, seed + 50).Select(value => value * book.Levels[^1] / 2)], metric = new float[64], pull = new float[8];
            for (int i = 0; i < 64; i++)
                metric[i] = Enumerable.Range(0, 8).Sum(k => g[i / 8 * 8 + k] * g[i % 8 * 8 + k]) + (i / 8 == i % 8 ? 1 : 0);
            for (int i = 0; i < 8; i++)
                pull[i] = Enumerable.Range(0, 8).Sum(k => metric[i * 8 + k] * numbers[k]);
            byte[] codes = new byte[8];
            CodebookRounding.Nearest(book, numbers, Enumerable.Repeat(1f, 8).ToArray(), codes);
            double before = Cost(codes);
            byte[] start = [.. codes];
            CodebookRounding.Settle(book, book.Levels.AsSpan(), metric, pull, codes);
            double after = Cost(codes), slack = 1e-3 * Math.Abs(before) + 1e-3;
            Assert.True(after <= before + slack, $"{after} of {before}");
            book.SignsOf(codes);
            for (int at = 0; at < 8; at += book.Length)
                for (int point = 0; point < book.Count; point++)
                {
                    byte[] other = [.. codes];
                    book.Put(point, Enumerable.Range(0, book.Length).Sum(i => codes[at + i] < book.Positive ? 1 << i : 0), other.AsSpan(at));
                    Assert.True(Cost(other) >= after - slack, $"{seed}: point {point} at {at}: {Cost(other)} of {after}");
                }
            for (int i = 0; i < 8; i++)
                for (int j = 0; j < i; j++)
                {
                    byte[] other = [.. codes];
                    (other[i], other[j]) = (book.Negated(other[i]), book.Negated(other[j]));
                    Assert.True(Cost(other) >= after - slack, $"{seed}: signs {i} and {j}: {Cost(other)} of {after}");
                }

            double Cost(byte[] run)
            {
                double[] error = [.. run.Select((code, i) => (double)book.Levels[code] - numbers[i])];
                return Enumerable.Range(0, 64).Sum(i => error[i / 8] * error[i % 8] * metric[i]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Codes_that_are_no_point_are_not_written(string name)
    {
        Codebook book = BlockFormat.Find(name)!.Shape.Codebook!;
        byte[] codes = new byte[8];
        book.Put(0, 0, codes);
        book.Put(0, 0, codes.AsSpan(8 - book.Length));
        if (book.HasEvenSigns)
            Assert.Throws<ArgumentException>(() => book.SignsOf([book.Negated(codes[0]), .. codes[1..]]));
        Assert.Throws<ArgumentException>(() => Enumerable.Range(0, 1 << book.Length).Select(bits => book.PointOf([.. codes[..book.Length].Select((code, i) => (byte)(code + (bits >> i & 1)))])).Count());
    }
}

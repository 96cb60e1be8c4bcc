using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tests.Compression;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>The search for a level of a table, eight numbers at a time.</summary>
public class SixteenLevelsTests
{
    static readonly sbyte[] fifteen = [-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_nearest_is_found_and_the_lower_of_two(bool isShort)
    {
        sbyte[] table = isShort ? fifteen : NonLinearLevels.Table.ToArray();
        SixteenLevels levels = new(table);
        float[] numbers = [.. Enumerable.Range(-300, 601).Select(i => i / 2f), .. Samples.Gaussian(512, 3).Select(x => 40 * x), float.PositiveInfinity, float.NegativeInfinity];
        foreach (float number in numbers)
        {
            int nearest = float.IsInfinity(number) ? (number > 0 ? table.Length - 1 : 0) : Enumerable.Range(0, table.Length).MinBy(i => Math.Abs(number - table[i]));
            Vector256<int> codes = levels.Code(Vector256.Create(number));
            Assert.Equal(Vector256.Create(nearest), codes);
            Assert.Equal(Vector256.Create((float)table[nearest]), levels.Level(codes));
        }
    }

    [Fact]
    public void Blocks_side_by_side_are_as_blocks_one_by_one()
    {
        float[] values = Samples.Gaussian(11 * IQ4_NL.Size, 7);
        IQ4_NL[] blocks = new IQ4_NL[11];
        IQ4_NL.Pack(values, blocks);
        IQ4_NL[] single = [.. Enumerable.Range(0, blocks.Length).Select(i => IQ4_NL.Pack(values.AsSpan(i * IQ4_NL.Size)))];
        Assert.Equal(MemoryMarshal.AsBytes<IQ4_NL>(single).ToArray(), MemoryMarshal.AsBytes<IQ4_NL>(blocks).ToArray());
    }
}

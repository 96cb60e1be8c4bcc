using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>What MXFP4 does that blocks with a half do not.</summary>
public sealed class MXFP4Tests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_block_is_an_exponent_and_nibbles_of_e2m1()
    {
        // 2^(126 - 127) = 1/2 times 1, -6, 0.5 and, 16 weights on, -3, 2, 0.
        byte[] bytes = [126, 2 | 13 << 4, 15 | 4 << 4, 1, .. new byte[13]];
        float[] values = new float[32];
        BlockFormat.Of<MXFP4>().Unpack(bytes, values);
        Assert.Equal([0.5f, -3, 0.25f, 0], values[..4]);
        Assert.Equal([-1.5f, 1, 0, 0], values[16..20]);
        byte[] packed = new byte[17];
        BlockFormat.Of<MXFP4>().Pack(values, packed);
        Assert.Equal(bytes, packed);
    }

    [Theory]
    // Largest of 7: at scale 1 it becomes 6 and the ones stay, at scale 2 it becomes 8; three more ones than that are worth are rounded well.
    [InlineData(7f, 1f, 127), InlineData(7f, 0f, 127), InlineData(8f, 4f, 128), InlineData(6f, 0.5f, 127), InlineData(0f, 0f, 0)]
    public void The_power_of_two_is_the_one_of_least_error(float first, float others, byte exponent)
    {
        float[] values = [first, .. Enumerable.Repeat(others, 31)];
        Assert.Equal(exponent, MXFP4.Pack(values).Exponent);
    }

    [Fact]
    public void Levels_of_e2m1_in_groups_of_32_are_written_as_blocks_of_the_same_numbers()
    {
        byte[] codes = [.. Enumerable.Range(0, 3 * 64).Select(i => (byte)(i * 7 % 16))];
        LevelWeight levels = new(LevelTables.Fp4, ScaleType.PowerOfTwo, 32, 3, 64, codes, [0.25f, 1, 65536, 1 / 1024f, 2, 4]), large = new(LevelTables.Fp4, ScaleType.PowerOfTwo, 32, 1, 32, codes[..32], [131072]);
        BlockWeight<MXFP4> blocks = Assert.IsType<BlockWeight<MXFP4>>(GgufGrids.ToBlocks(levels));
        Assert.Equal(levels.ToDense(), blocks.ToDense());
        Assert.Same(large, GgufGrids.ToBlocks(large));
    }

    [Theory]
    [InlineData(144), InlineData(255)]
    public void A_scale_that_no_half_holds_is_refused_in_a_file(byte exponent)
    {
        BlockWeight<MXFP4> weight = new(1, 32, new[] { new MXFP4 { Exponent = exponent, Values = MXFP4.Pack(Enumerable.Repeat(1f, 32).ToArray()).Values } });
        GgufWriter.Write(folder["a"], [], [new(new("w", weight), GgmlType.Of(weight.Format))]);
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Contains("'w' holds a number that is not finite", Assert.Throws<CoppiceException>(() => gguf.ReadWeight("w")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.7, 0.5), InlineData(0.76, 1), InlineData(1, 1), InlineData(1.5, 1), InlineData(1.6, 2), InlineData(0, 0)]
    public void A_scale_goes_to_the_nearest_power_of_two(double unit, double stored) => Assert.Equal((Half)stored, MXFP4.Shape.NearestUnit(unit));
}

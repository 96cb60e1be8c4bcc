using Coppice.Weights;

namespace Coppice.Tests.Weights;

public class LevelWeightTests
{
    [Fact]
    public void Codes_are_levels_times_the_scale_of_their_group()
    {
        // e2m1: 3 is 1.5, 15 is -6, 7 is 6, 8 is 0 again.
        LevelWeight weight = new(LevelTables.Fp4, ScaleType.Float16, 2, 2, 4, [3, 15, 7, 8, 0, 1, 9, 2], [0.5f, 2, 1, 0.25f]);
        Assert.Equal([0.75f, -3, 12, 0, 0, 0.5f, -0.125f, 0.25f], weight.ToDense());
        float[] second = new float[4];
        weight.Unpack(1, second);
        Assert.Equal([0, 0.5f, -0.125f, 0.25f], second);
        Assert.Equal([0, 0.5f, -0.125f, 0.25f, 0.75f, -3, 12, 0], weight.Reorder([1, 0]).ToDense());
        Assert.Equal("fp4-g2", weight.Kind);
        // A word a row, four halves, sixteen levels.
        Assert.Equal(2 * 4 + 4 * 2 + 16 * 4, weight.ByteCount);
    }

    [Theory]
    [InlineData(0.3f, 0)]
    [InlineData(0.5f, 0)]
    [InlineData(0.51f, 1)]
    [InlineData(-0.51f, 2)]
    [InlineData(-0.5f, 2)]
    [InlineData(99, 1)]
    [InlineData(-99, 2)]
    public void The_nearest_level_counts_and_halfway_the_smaller(float value, int code) => Assert.Equal(code, LevelTables.Ternary.Nearest(value));

    [Fact]
    public void No_level_is_nearer()
    {
        Random random = new(1);
        foreach (LevelTable table in (LevelTable[])[LevelTables.Nf4, LevelTables.Fp4, LevelTables.Binary, LevelTables.PowersOfTwo(3), LevelTables.PowersOfTwo(8), LevelTables.Of(Float8Format.E4M3), LevelTables.Of(Float8Format.E5M2)])
            for (int i = 0; i < 1000; i++)
            {
                float value = (random.NextSingle() * 2 - 1) * table.Range * 1.2f;
                Assert.Equal(table.Levels.ToArray().Min(level => Math.Abs(level - value)), Math.Abs(table.Levels[table.Nearest(value)] - value), 1e-6f * table.Range);
            }
    }

    [Fact]
    public void Powers_of_two_have_a_sign_and_an_exponent() =>
        Assert.Equal([0, 1, 0.5f, 0.25f, 0, -1, -0.5f, -0.25f], LevelTables.PowersOfTwo(3).Levels.ToArray());

    [Fact]
    public void Nf4_is_symmetric_quantiles_around_an_exact_zero()
    {
        ReadOnlySpan<float> levels = LevelTables.Nf4.Levels;
        Assert.Equal((-1, 0, 1), (levels[0], levels[7], levels[15]));
        for (int i = 1; i < 16; i++)
            Assert.True(levels[i] > levels[i - 1]);
        // The smallest positive level is the normal quantile after half, over the largest: 0.1437 / 1.8060 for tails of 1 - 0.9677.
        Assert.Equal(0.1437 / 1.8060, levels[8], 1e-3);
    }

    [Fact]
    public void A_table_is_known_again_by_its_levels()
    {
        Assert.Same(LevelTables.Nf4, LevelTables.Known(LevelTables.Nf4.Levels));
        Assert.Equal("pow2_6", LevelTables.Known(LevelTables.PowersOfTwo(6).Levels).Name);
        Assert.Equal("nonuniform3", LevelTables.Known([-1, -0.4f, 0, 0.1f, 0.2f, 0.8f]).Name);
    }

    [Fact]
    public void Matrices_on_one_table_become_one()
    {
        LevelWeight one = new(LevelTables.Ternary, ScaleType.Float16, -1, 1, 3, [0, 1, 2], [2]), two = new(LevelTables.Ternary, ScaleType.Float16, -1, 1, 3, [1, 1, 0], [0.5f]);
        Weight both = MatrixLayout.Stack([one, two]);
        Assert.Equal("ternary-channel", both.Kind);
        Assert.Equal([0, 2, -2, 0.5f, 0.5f, 0], both.ToDense());
    }

    [Fact]
    public void What_a_table_or_a_scale_type_does_not_hold_is_refused()
    {
        Assert.Contains("the code 3 at 1", Assert.Throws<ArgumentException>(() => new LevelWeight(LevelTables.Ternary, ScaleType.Float16, -1, 1, 2, [0, 3], [1])).Message, StringComparison.Ordinal);
        Assert.Contains("the code 3 at [0, 1]", Assert.Throws<ArgumentException>(() => new LevelWeight(LevelTables.Ternary, ScaleType.Float16, -1, 1, 2, new uint[] { 3 << 2 }, [1])).Message, StringComparison.Ordinal);
        Assert.Contains("scale 3 is no PowerOfTwo", Assert.Throws<ArgumentException>(() => new LevelWeight(LevelTables.Fp4, ScaleType.PowerOfTwo, -1, 1, 2, new byte[] { 0, 3 }, [3])).Message, StringComparison.Ordinal);
        Assert.Contains("groups of 3", Assert.Throws<ArgumentException>(() => new LevelWeight(LevelTables.Fp4, ScaleType.Float16, 3, 1, 4, new byte[4], [1])).Message, StringComparison.Ordinal);
    }
}

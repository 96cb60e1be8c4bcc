using System.Runtime.InteropServices;
using Coppice.Tests.Compression;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>Blocks taken apart and put together, and their search where some numbers count more.</summary>
public class BlockGridTests
{
    public static TheoryData<string> Names => BlockFormatTests.Names;

    [Fact]
    public void A_block_is_the_sum_of_its_parts()
    {
        Check<Q8_0>();
        Check<Q4_0>();
        Check<Q4_1>();
        Check<Q5_0>();
        Check<Q5_1>();
        Check<Q2_K>();
        Check<Q3_K>();
        Check<Q4_K>();
        Check<Q5_K>();
        Check<Q6_K>();
        Check<IQ4_NL>();
        Check<IQ4_XS>();
        Check<MXFP4>();
        Check<IQ2_XXS>();
        Check<IQ2_XS>();
        Check<IQ2_S>();
        Check<IQ3_XXS>();
        Check<IQ3_S>();
    }

    static void Check<TBlock>() where TBlock : unmanaged, IBlock<TBlock>
    {
        BlockShape shape = TBlock.Shape;
        int groups = TBlock.Size / shape.GroupSize;
        for (int seed = 0; seed < 20; seed++)
        {
            byte[] bytes = BlockFormatTests.AnyBytes(TBlock.Name, 1, seed);
            TBlock block = MemoryMarshal.Read<TBlock>(bytes);
            BlockParts parts = new(new Half[2], new sbyte[groups], new sbyte[groups], new byte[TBlock.Size]);
            block.Split(parts);
            float[] values = BlockOracle.Read(TBlock.Name, bytes);
            for (int i = 0; i < values.Length; i++)
            {
                int group = i / shape.GroupSize;
                Assert.InRange(parts.Scales[group], shape.Scales.Least, shape.Scales.Most);
                Assert.InRange(parts.Mins[group], shape.Mins.Least, shape.Mins.Most);
                Assert.Equal(values[i], (float)parts.Units[0] * shape.UnitShare * parts.Scales[group] * shape.Levels[parts.Codes[i]] - (float)parts.Units[1] * parts.Mins[group], 1e-6f);
            }
            Assert.Equal(bytes, MemoryMarshal.AsBytes([TBlock.Join(parts)]).ToArray());
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_search_serves_the_numbers_that_count(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        int columns = 2 * format.Size, rows = 8;
        float[] weights = Samples.Gaussian(rows * columns, 5), importance = [.. Enumerable.Range(0, columns).Select(i => i % 5 == 0 ? 4f : 0.1f)];
        double even = Error(BlockGrid.Search(Samples.Pool, format, columns, weights, [])), given = Error(BlockGrid.Search(Samples.Pool, format, columns, weights, importance));
        // Q8_0 has its scale from the largest number alone, as everywhere.
        if (name == "q8_0")
            Assert.Equal(even, given);
        else
            // A power of two leaves little choice.
            Assert.True(given < (name == "mxfp4" ? 1 : 0.95) * even, $"{given} of {even}");

        double Error(BlockGrid grid)
        {
            float[] stored = new float[weights.Length];
            grid.Unpack(0, stored);
            Assert.Equal(stored, format.Join(grid).ToDense());
            return weights.Select((weight, i) => importance[i % columns] * Math.Pow(weight - stored[i], 2)).Sum();
        }
    }
}

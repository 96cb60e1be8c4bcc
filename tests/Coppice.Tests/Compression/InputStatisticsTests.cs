using Coppice.Compression;
using Coppice.Compression.Quantize;

namespace Coppice.Tests.Compression;

public class InputStatisticsTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(300)]
    public void Products_of_several_calls_are_the_means_over_all_tokens(int columns)
    {
        float[] x = Samples.Inputs(50, columns, 7);
        InputStatistics inputs = new(columns, Statistics.Gram);
        foreach (int tokens in new[] { 20, 0, 1, 29 })
            inputs.Add(Samples.Pool, x.AsSpan((int)inputs.Tokens * columns, tokens * columns));
        Assert.Equal(50, inputs.Tokens);
        for (int i = 0; i < columns; i++)
            for (int j = 0; j < columns; j++)
            {
                double wanted = 0;
                for (int t = 0; t < 50; t++)
                    wanted += (double)x[t * columns + i] * x[t * columns + j] / 50;
                double size = Math.Sqrt(inputs.MeanSquare(i) * inputs.MeanSquare(j));
                Assert.Equal(wanted, inputs.MeanProduct(i, j), 1e-5 * size);
                Assert.Equal(wanted, inputs.Gram[i * columns + j], 1e-5 * size);
            }
    }

    [Fact]
    public void A_pair_of_inputs_takes_four_bytes_and_as_much_again_for_a_factor()
    {
        const int columns = 1100, pairs = columns * columns;
        float[] x = Samples.Gaussian(64 * columns, 3);
        long before = GC.GetAllocatedBytesForCurrentThread();
        InputStatistics inputs = new(columns, Statistics.Gram);
        long held = GC.GetAllocatedBytesForCurrentThread();
        inputs.Add(Samples.Pool, x);
        GptqFactor first = GptqFactor.Of(Samples.Pool, inputs, ColumnOrder.Natural, 0.01, default);
        Assert.InRange(held - before, 4L * pairs, 4.1 * pairs);
        Assert.InRange(4L * first.Upper.Length, 4L * pairs, 4L * pairs);

        inputs.Readers = 2;
        GptqFactor.Of(Samples.Pool, inputs, ColumnOrder.ActOrder, 0.01, default);
        Assert.Equal(2, inputs.Factors.Count);
        inputs.Readers = 1;
        GptqFactor.Of(Samples.Pool, inputs, ColumnOrder.ActOrder, 0.02, default);
        Assert.Single(inputs.Factors);
        inputs.LetGo();
        Assert.Empty(inputs.Factors);
    }
}

using System.Globalization;
using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Tensors;

namespace Coppice.Bench;

/// <summary>GPTQ of one layer of 4096 x 4096, groups of 32, with and without what it does beyond the paper, and SparseGPT of the same; bench/peers/gptq_torch.py is GPTQ as the paper has it in PyTorch. The Gram matrix is gathered before the clock starts.</summary>
static class GptqBench
{
    const int Size = 4096, Tokens = 2048, Times = 3;

    public static void Run(WorkerPool pool)
    {
        float[] weights = Gaussian(Size * Size, 1, 0.02f), x = Gaussian(Tokens * Size, 2, 1), shared = Gaussian(Tokens, 3, 1), sizes = Gaussian(Size, 4, 1);
        for (int i = 0; i < x.Length; i++)
            x[i] = (x[i] + shared[i / Size]) * MathF.Exp(sizes[i % Size]);
        InputStatistics inputs = new(Size, Statistics.Gram);
        double gram = Clock.Once(() => inputs.Add(pool, x));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"gptq threads {pool.Threads} gram of {Tokens} tokens seconds {gram:0.000}"));
        Measure(pool, "paper", weights, inputs, new Gptq { GroupSize = 32, Range = RangeFit.AbsMax, Sweeps = 0 });
        Measure(pool, "search and refit", weights, inputs, new Gptq { GroupSize = 32, Sweeps = 0 });
        Measure(pool, "and a sweep", weights, inputs, new Gptq { GroupSize = 32 });
        Measure(pool, "half", weights, inputs, new SparseGpt());
        Measure(pool, "2:4", weights, inputs, new SparseGpt { Pattern = new SparsityPattern(2, 4) });
    }

    // Every time is the whole of it: a factor that was found before is not used again.
    static void Measure(WorkerPool pool, string what, float[] weights, InputStatistics inputs, WeightStep step)
    {
        for (int time = 0; time < Times; time++)
        {
            inputs.Factors.Clear();
            LayerWork work = new("layer", Size, Size, weights, pool) { Inputs = inputs };
            double cpu = Environment.CpuUsage.TotalTime.TotalSeconds;
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            step.Apply(work);
            double seconds = System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds;
            cpu = Environment.CpuUsage.TotalTime.TotalSeconds - cpu;
            double relative = LayerObjective.Relative(pool, weights, Packing.Pack(work), inputs.Gram);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{step.Key} ({what}) threads {pool.Threads} seconds {seconds:0.000} cpu {cpu:0.000} relative {relative:0.000000}"));
        }
    }

    static float[] Gaussian(int count, int seed, float size)
    {
        Random random = new(seed);
        float[] numbers = new float[count];
        for (int i = 0; i < count; i++)
            numbers[i] = size * (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return numbers;
    }
}

using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Bench;

/// <summary>Training steps of a Llama-shaped model on random tokens, against the FMA peak; <c>bench/peers/train_torch.py</c> trains the same model.</summary>
static class TrainBench
{
    const int Layers = 6, Width = 384, Heads = 6, Hidden = 1024, Vocabulary = 8192, Tokens = 256, Sequences = 8, Warmup = 3, Steps = 8;

    public static void Run(WorkerPool pool) => Run(pool, KeptActivations.All);

    public static void RunKeepingHalves(WorkerPool pool) => Run(pool, KeptActivations.BFloat16);

    public static void RunKeepingInputs(WorkerPool pool) => Run(pool, KeptActivations.BlockInputs);

    static void Run(WorkerPool pool, KeptActivations activations)
    {
        DecoderConfig config = new()
        {
            HiddenSize = Width,
            IntermediateSize = Hidden,
            LayerCount = Layers,
            HeadCount = Heads,
            KeyValueHeadCount = Heads,
            HeadWidth = Width / Heads,
            VocabularySize = Vocabulary,
            ContextLength = Tokens,
        };
        DecoderModel model = Initialization.Random(config, seed: 1);
        Random random = new(1);
        int[] text = [.. Enumerable.Range(0, 40 * Sequences * Tokens).Select(_ => random.Next(Vocabulary))];
        Trainer trainer = new(model, new TokenWindows(text, Tokens, seed: 1), new TrainingOptions { BatchSize = Sequences, ContextLength = Tokens, Steps = 1000, Activations = activations }, pool);

        // Of a token: 2 for each weight forward, 4 backward; a visible pair of tokens takes 4 a number of the query forward and 10 backward.
        double flops = 6.0 * (model.ParameterCount - (2 * Layers + 1) * Width) + 14.0 * Layers * Width * (Tokens + 1) / 2;
        Console.WriteLine($"\n{pool.Threads} thread(s), {$"training, {model.ParameterCount / 1e6:F1}M parameters, GFLOP/s",-40}{"median",8}{"peak",8}{"share",7}{"best",8}{"peak",8}{"share",7}");
        List<double> seconds = [], peaks = [];
        double loss = 0;
        for (int step = 0; step < Warmup + Steps; step++)
        {
            double peak = Probes.PeakGigaflops(pool);
            double taken = Clock.Once(() => loss = trainer.Step().Loss);
            if (step < Warmup)
                continue;
            seconds.Add(taken);
            peaks.Add(peak);
        }
        double work = flops * Sequences * Tokens / 1e9, median = Clock.Median(seconds), best = seconds.Min(), ceiling = Clock.Median(peaks);
        Console.WriteLine($"  {"a step of 2048 tokens",-51}{work / median,8:F1}{ceiling,8:F1}{work / median / ceiling,7:P0}{work / best,8:F1}{peaks.Max(),8:F1}{work / best / peaks.Max(),7:P0}");
        Console.WriteLine($"  step {Warmup + Steps}: loss {loss:F4}, results and gradients {trainer.ActivationBytes >> 20:N0} MiB; {pool.Threads} thread(s), tokens/s: {Sequences * Tokens / median:F1}");
    }
}

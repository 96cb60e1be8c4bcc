using Coppice.Bench;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

// dotnet run -c Release --project bench/Coppice.Bench [-- NAME ...]
(string Name, Action<WorkerPool> Run)[] benches =
[
    ("products", ProductBench.Run),
    ("rows", RowBench.Run),
    ("attention", AttentionBench.Run),
    ("cache", CacheBench.Run),
    ("fused", FusedBench.Run),
    ("dispatch", DispatchBench.Run),
    ("train", TrainBench.Run),
    ("gptq", GptqBench.Run),
    ("train-bf16", TrainBench.RunKeepingHalves),
    ("train-inputs", TrainBench.RunKeepingInputs),
];
Console.WriteLine($"{Environment.ProcessorCount} processors, .NET {Environment.Version}, {SimdLevel.Active}");
for (int threads = 1; threads <= Environment.ProcessorCount; threads++)
{
    using var pool = new WorkerPool(threads);
    Clock.Threads = threads;
    foreach (var (name, run) in benches)
        if (args.Length == 0 || args.Contains(name))
            run(pool);
}

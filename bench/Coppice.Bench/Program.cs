using BenchmarkDotNet.Running;
using Coppice.Bench;
using Coppice.Bench.Fuzz;
using Coppice.Bench.Kernels;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

// Single kernels, by BenchmarkDotNet:  dotnet run -c Release --project bench/Coppice.Bench -- --filter '*RmsNorm*'
// What has a peer program beside it:   dotnet run -c Release --project bench/Coppice.Bench -- NAME ...
// Readers against damaged files:       dotnet run -c Release --project bench/Coppice.Bench -- fuzz SECONDS [SEED]
if (args is ["fuzz", .. string[] fuzzing])
    return FuzzLoop.Run(fuzzing);

(string Name, Action<WorkerPool> Run)[] benches =
[
    ("train", TrainBench.Run),
    ("train-bf16", TrainBench.RunKeepingHalves),
    ("train-inputs", TrainBench.RunKeepingInputs),
    ("gptq", GptqBench.Run),
];
if (args is [] || args[0].StartsWith('-'))
{
    BenchmarkSwitcher.FromAssembly(typeof(KernelBenchmark).Assembly).Run(args, KernelConfig.Create());
    return 0;
}
if (args.Except(benches.Select(bench => bench.Name)).FirstOrDefault() is { } unknown)
{
    Console.Error.WriteLine($"{unknown}: wanted one of {string.Join(", ", benches.Select(bench => bench.Name))}, or --filter and a pattern of kernels' names");
    return 2;
}
Console.WriteLine($"{Environment.ProcessorCount} processors, .NET {Environment.Version}, {SimdLevel.Active}");
for (int threads = 1; threads <= Environment.ProcessorCount; threads++)
{
    using WorkerPool pool = new(threads);
    Clock.Threads = threads;
    foreach ((string name, Action<WorkerPool> run) in benches)
        if (args.Contains(name))
            run(pool);
}
return 0;

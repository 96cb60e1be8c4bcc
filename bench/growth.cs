// Time and memory of random models of 1, 2, 4 and 8 times the layers, and of contexts of 1, 2, 4 and 8 times the length: each should double from line to line.
//
//   dotnet run -c Release bench/growth.cs [THREADS]
#:project Grove/Grove.csproj
#:property PublishAot=false
using System.Diagnostics;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Weights;
using Coppice.Weights.Blocks;

using WorkerPool pool = new(args.Length > 0 ? int.Parse(args[0]) : Environment.ProcessorCount);
DecoderConfig config = new()
{
    HiddenSize = 1024,
    IntermediateSize = 2816,
    LayerCount = 4,
    HeadCount = 16,
    KeyValueHeadCount = 8,
    HeadWidth = 64,
    VocabularySize = 1024,
    ContextLength = 16384,
};

Console.WriteLine($"width {config.HiddenSize}, q4_0, {pool.Threads} thread(s)\n\n| layers | parameters, million | stored, MB | pack, s | prompt of 256, s | a token, ms | by the first line |");
Console.WriteLine("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
double first = 0;
foreach (int layers in new[] { 8, 16, 32, 64 })
{
    DecoderModel model = Quantized(config with { LayerCount = layers });
    KvCache cache = new(model, 512);
    ForwardContext context = new(pool) { Activations = ActivationFormat.Int8 };
    int[] prompt = [.. Enumerable.Range(0, 256).Select(i => i * 7 % config.VocabularySize)];
    double pack = Seconds(() => Read([1]));
    Read(prompt);
    double read = Median(3, () => { cache.Truncate(0); Read(prompt); }), token = Median(41, () => { cache.Truncate(8); Read([5]); });
    first = first == 0 ? token : first;
    Console.WriteLine($"| {layers} | {model.ParameterCount / 1e6:0.0} | {model.ByteCount / 1e6:0.0} | {pack:0.000} | {read:0.000} | {1e3 * token:0.00} | {token / first:0.0} |");

    void Read(int[] ids)
    {
        context.Reset();
        Batch batch = new();
        batch.Add(ids, cache);
        model.ForwardWanted(batch, context);
    }
}

Console.WriteLine("\n| tokens before | cache, MB | a token, ms | of it for the context | by the first line |\n| ---: | ---: | ---: | ---: | ---: |");
DecoderModel longer = Quantized(config);
ForwardContext pass = new(pool) { Activations = ActivationFormat.Int8 };
KvCache text = new(longer, config.ContextLength);
int[] chunk = [.. Enumerable.Range(0, 256).Select(i => i * 7 % config.VocabularySize)];
double empty = 0, share = 0;
foreach (int length in new[] { 0, 2048, 4096, 8192, 16128 })
{
    while (text.Length < length)
        Continue(chunk);
    double token = Median(51, () => { text.Truncate(length); Continue([5]); });
    text.Truncate(length);
    if (length == 0)
    {
        empty = token;
        continue;
    }
    share = share == 0 ? token - empty : share;
    Console.WriteLine($"| {length} | {length * text.BytesPerToken / 1e6:0.0} | {1e3 * token:0.00} | {1e3 * (token - empty):0.00} | {(token - empty) / share:0.0} |");
}

void Continue(int[] ids)
{
    pass.Reset();
    Batch batch = new();
    batch.Add(ids, text);
    longer.ForwardWanted(batch, pass);
}

DecoderModel Quantized(DecoderConfig sizes)
{
    DecoderModel model = Initialization.Random(sizes, seed: 1);
    foreach ((_, MatrixLayer layer) in model.Matrices().ToList())
        layer.Weight = BlockWeight.From<Q4_0>(layer.Weight.Rows, layer.Weight.Columns, layer.Weight.ToDense(), pool);
    return model;
}

static double Seconds(Action work)
{
    long start = Stopwatch.GetTimestamp();
    work();
    return Stopwatch.GetElapsedTime(start).TotalSeconds;
}

static double Median(int times, Action work) => Enumerable.Range(0, times).Select(_ => Seconds(work)).Order().ElementAt(times / 2);

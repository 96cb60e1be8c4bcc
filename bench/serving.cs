#:project Grove/Grove.csproj
#:property PublishAot=false
// What serving in fewer bits costs and gains: caches, activations, variants under load, blocks on demand: the tables of docs/results/grove-serving.md.
//   dotnet run -c Release bench/serving.cs [caches] [activations] [ladder] [memory]
using System.Diagnostics;
using Coppice.Bench;
using Coppice.Evaluation;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Weights;
using Coppice.Weights.Blocks;
using static Coppice.Bench.Grove;

const int TestDocuments = 400, CalibrationTokens = 8192, Seed = 1;
using Grove grove = new(TestDocuments);
string folder = Directory.CreateTempSubdirectory("serving-").FullName;
try
{
    Title("What serving in fewer bits costs", "serving.cs");
    if (Wanted("caches"))
        Caches();
    string q8 = Path.Combine(folder, "q8_0.gguf"), q4 = Path.Combine(folder, "q4_0.gguf");
    grove.Base.SaveGguf(q8, GgmlType.Q8_0, grove.Pool);
    grove.Base.SaveGguf(q4, GgmlType.Q4_0, grove.Pool);
    if (Wanted("activations"))
        Activations(q8, q4);
    if (Wanted("ladder"))
        Ladder(q8, q4);
    if (Wanted("memory"))
        OnDemand();
}
finally
{
    Directory.Delete(folder, recursive: true);
}

bool Wanted(string part) => args.Length == 0 || args.Contains(part);

// A token behind a long text, formats in turn.
void Caches()
{
    const int Tokens = 8, Rounds = 15;
    // One thread, which other programs on the machine disturb least.
    using WorkerPool one = new(1);
    DecoderConfig config = new() { HiddenSize = 512, IntermediateSize = 1024, LayerCount = 2, HeadCount = 8, KeyValueHeadCount = 8, HeadWidth = 64, VocabularySize = 256, ContextLength = 8192 };
    Model model = Initialization.Random(config, Seed);
    Print($"\n## Keys and values behind a long text\n\nA random model of {config.LayerCount} blocks, {config.HeadCount} heads of {config.HeadWidth} each with keys and values of its own, on one thread; the median of {(Tokens - 1) * Rounds} tokens, formats in turn.\n");
    Print($"| tokens before | --kv | cache | a token | of f16 |\n| ---: | --- | ---: | ---: | ---: |");
    KeyValueFormat[] formats = [KeyValueFormat.Float16, KeyValueFormat.Int8, KeyValueFormat.Int4, KeyValueFormat.Int4Token];
    foreach (int before in new[] { 256, 1024, 4096 })
    {
        int[] text = [.. Enumerable.Range(0, before).Select(i => i * 97 % 256)];
        Generator[] generators = [.. formats.Select(format => new Generator(model, new Sampler(), one, capacity: before + (Tokens + 1) * (Rounds + 1), cache: format))];
        List<double>[] seconds = [.. formats.Select(_ => new List<double>())];
        for (int round = -1; round < Rounds; round++)
            for (int turn = 0; turn < formats.Length; turn++)
            {
                int i = (turn + round + 1) % formats.Length;
                GenerationTiming timing = round < 0 ? generators[i].Generate(text, Tokens) : generators[i].Generate([1], Tokens);
                if (round >= 0)
                    seconds[i].AddRange(timing.LaterSeconds);
            }
        for (int i = 0; i < formats.Length; i++)
            Print($"| {before:N0} | {formats[i]} | {generators[i].CacheBytes:N0} | {1000 * Median(seconds[i]):0.00} ms | {Median(seconds[i]) / Median(seconds[0]):0.00} |");
    }
}

void Activations(params string[] models)
{
    Print($"\n## Activations\n\nKL against `assets/grove` in 16 bits over {grove.Text.ScoredTokens:N0} tokens of `sdk:test`; ranges from {CalibrationTokens:N0} tokens of `sdk:train`.\n");
    Print($"| model | activations | KL, nats/token | top-1 |\n| --- | --- | ---: | ---: |");
    foreach (string path in models)
    {
        Model model = LanguageModel.Load(path).Model;
        ActivationRanges ranges = ActivationRanges.Gather(model, grove.Calibration(CalibrationTokens, Seed), grove.Pool);
        Row("f32", ActivationFormat.Float32);
        Row("int8", ActivationFormat.Int8);
        foreach (RangeRule rule in Enum.GetValues<RangeRule>())
        {
            ranges.ApplyTo(model, rule);
            Row($"int8-static, {rule}", ActivationFormat.Int8Static);
        }
        ranges.ApplyTo(model, RangeRule.AbsMax);
        foreach (string[] targets in (string[][])[["*.o_proj"], ["*.down_proj"], ["kind:embedding"], ["*.down_proj", "kind:embedding"]])
        {
            IReadOnlyList<MatrixLayer> floats = [.. model.Matrices().Where(matrix => targets.Any(target => MatrixTargets.Matches(target, matrix.Name))).Select(matrix => matrix.Layer)];
            foreach (MatrixLayer layer in floats)
                layer.KeepsFloatInputs = true;
            Row($"int8-static, AbsMax, {string.Join(" and ", targets.Select(target => $"`{target}`"))} floats", ActivationFormat.Int8Static);
            foreach (MatrixLayer layer in floats)
                layer.KeepsFloatInputs = false;
        }

        void Row(string name, ActivationFormat format)
        {
            Comparison cost = Comparison.Measure(grove.Base.Model, model, grove.Text, grove.Pool, new EvaluationOptions { Activations = format });
            Print($"| {Path.GetFileNameWithoutExtension(path)} | {name} | {cost.Kl.Value:0.00000} ± {cost.Kl.StandardError:0.00000} | {cost.Top1Agreement.Value:P1} |");
        }
    }
}

// Without load, with twice as many busy threads as there are cores, and without again.
void Ladder(string best, string cheap)
{
    using WorkerPool one = new(1);
    (string, Model)[] rungs = [("q8_0", LanguageModel.Load(best).Model), ("q4_0", LanguageModel.Load(cheap).Model)];
    IReadOnlyList<Speed> speeds = SpeedProbe.Measure([.. rungs.Select(rung => rung.Item2)], [0, 1, 2], one);
    double target = 1.4 * speeds[0].TokenSeconds.Median;
    PrecisionLadder ladder = new(rungs, target);
    Print($"\n## Variants under load\n\nOn grove, one thread. Median of a token: q8_0 {1000 * speeds[0].TokenSeconds.Median:0.000} ms, q4_0 {1000 * speeds[1].TokenSeconds.Median:0.000} ms; the target is {1000 * target:0.000} ms. Twice 240 tokens each: quiet, with {2 * Environment.ProcessorCount} busy threads beside, quiet.\n");
    Print($"| after token | from | to | median |\n| ---: | --- | --- | ---: |");
    foreach (bool isBusy in new[] { false, true, false })
    {
        using CancellationTokenSource quiet = new();
        Thread[] load = [.. Enumerable.Range(0, isBusy ? 2 * Environment.ProcessorCount : 0).Select(_ => new Thread(() => { while (!quiet.IsCancellationRequested) Thread.SpinWait(1000); }))];
        Array.ForEach(load, thread => thread.Start());
        for (int text = 0; text < 2; text++)
            new Generator(ladder.Model, new Sampler(), one) { Ladder = ladder }.Generate([0, 1 + text, 2], 240);
        quiet.Cancel();
        Array.ForEach(load, thread => thread.Join());
    }
    foreach (PrecisionSwitch change in ladder.Switches)
        Print($"| {change.Token} | {change.From} | {change.To} | {1000 * change.MedianSeconds:0.000} ms |");
    Stopwatch clock = Stopwatch.StartNew();
    Generator generator = new(rungs[0].Item2, new Sampler(), grove.Pool);
    for (int i = 0; i < 1000; i++)
        generator.SwitchTo(rungs[i % 2].Item2);
    Print($"\nA switch takes {clock.Elapsed.TotalMicroseconds / 1000:0.0} µs.");
}

void OnDemand()
{
    const int Tokens = 16;
    string path = Path.Combine(folder, "large.gguf");
    DecoderConfig config = new() { HiddenSize = 1024, IntermediateSize = 2816, LayerCount = 12, HeadCount = 16, KeyValueHeadCount = 16, HeadWidth = 64, VocabularySize = 4096, ContextLength = 256 };
    new LanguageModel(Initialization.Random(config, Seed), grove.Base.Tokenizer, "random").SaveGguf(path, GgmlType.Q8_0, grove.Pool);
    Print($"\n## Blocks on demand\n\nA random model of {config.LayerCount} blocks as Q8_0, {new FileInfo(path).Length:N0} bytes, its pages in the system's cache. Peak: beyond what the process held before it opened the model. A token: the median of {Tokens}, after a prompt of 8.\n");
    Print($"| limit | matrices held | blocks that stay | peak | a token | of no limit |\n| ---: | ---: | ---: | ---: | ---: | ---: |");
    (double whole, long all) = Run(null);
    foreach (double share in new[] { 0.75, 0.5, 0.25 })
        Run((long)(share * all), whole);

    (double Seconds, long Bytes) Run(long? limit, double? whole = null)
    {
        ((double seconds, long held, int kept), long peak) = PeakMemory.Of(() =>
        {
            Model model = LanguageModel.Load(path).Model;
            model.OnDemand = new BlocksOnDemand(model, limit ?? long.MaxValue);
            GenerationTiming timing = new Generator(model, new Sampler(), grove.Pool).Generate([0, 1, 2, 3, 4, 5, 6, 7], Tokens + 1);
            return (Median(timing.LaterSeconds), model.OnDemand.HeldBytes, model.OnDemand.KeptBlocks);
        });
        Print($"| {(limit is null ? "none" : $"{limit / 1e6:0} MB")} | {held / 1e6:0.0} MB | {kept} of {config.LayerCount} | {peak / 1e6:0} MB | {1000 * seconds:0.0} ms | {(whole is null ? "" : $"{seconds / whole:0.00}")} |");
        return (seconds, held);
    }
}

static double Median(IReadOnlyList<double> numbers)
{
    double[] sorted = [.. numbers.Order()];
    return sorted[sorted.Length / 2];
}

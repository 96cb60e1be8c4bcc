#:project Grove/Grove.csproj
#:property PublishAot=false
// How many clients a second are simulated: the table of bench/results/amd-zen3-2c/federation-simulation.md. Takes a minute.
//   dotnet run -c Release bench/federation-simulation.cs > bench/results/amd-zen3-2c/federation-simulation.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Virtual;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Clients = 2000, PerRound = 200, Rounds = 4, Counted = 3, Vocabulary = 512, TokensEach = 512, Seed = 1;
int threads = Environment.ProcessorCount;
(string Name, DecoderConfig Config)[] models =
[
    ("32 wide, 1 block", Config(32, 1)),
    ("64 wide, 2 blocks", Config(64, 2)),
    ("128 wide, 4 blocks", Config(128, 4)),
];
(string Name, int Batch, int Context)[] works = [("1 step of 1 x 32 tokens", 1, 32), ("1 step of 4 x 64", 4, 64)];

Title("How fast clients are simulated", "federation-simulation.cs");
Print($"{Clients:N0} clients with {TokensEach} tokens each of random text, {PerRound} drawn a round, in virtual time with latencies and machines that differ, {threads} clients at a time. A client reads its task, trains (SGD), measures its loss before and after on one window, and sends its update (int8), which the server checks and averages. Others used the machine too, so a second is one of all of the process's {threads} threads: {threads} seconds of a processor, the system's part included. The median of the last {Counted} of {Rounds} rounds.\n");
Print($"| model | numbers | work | clients a second | tokens a second, trained and measured |");
Print($"| --- | ---: | --- | ---: | ---: |");
foreach ((string name, DecoderConfig config) in models)
    foreach ((string work, int batch, int context) in works)
    {
        DecoderModel model = Initialization.Random(config, Seed);
        TrainingOptions training = new() { Optimizer = OptimizerKind.Sgd, LearningRate = 0.1, BatchSize = batch, ContextLength = context, Seed = Seed };
        FederatedOptions options = new() { Rounds = Rounds, LocalSteps = 1, ClientsPerRound = PerRound, EvaluationWindows = 1, Training = training, Codec = new Int8Codec(), FreshClients = true, Seed = Seed };
        Random random = new(Seed);
        IClientChannel[] channels = [.. Enumerable.Range(0, Clients).Select(i =>
            new LocalChannel(new Client(string.Create(CultureInfo.InvariantCulture, $"client-{i:0000}"), [.. Enumerable.Range(0, TokensEach).Select(_ => random.Next(Vocabulary))], new WorkerPool(1))))];
        List<double> seconds = [];
        double last = Seconds();
        VirtualSimulation.Run(model, channels, options, new World(), threads, progress: new Told(() =>
        {
            seconds.Add((Seconds() - last) / threads);
            last = Seconds();
        }));
        double rate = PerRound / seconds.TakeLast(Counted).Order().ElementAt(Counted / 2);
        Print($"| {name} | {ParameterSet.Copy(model).Count:N0} | {work} | {rate:N0} | {rate * (batch * context + 2 * context):N0} |");
    }

static double Seconds() => Environment.CpuUsage.TotalTime.TotalSeconds;

static DecoderConfig Config(int width, int blocks) => new() { HiddenSize = width, IntermediateSize = 3 * width, LayerCount = blocks, HeadCount = 4, KeyValueHeadCount = 4, HeadWidth = width / 4, VocabularySize = Vocabulary, ContextLength = 64 };

sealed class Told(Action act) : IProgress<RoundRecord>
{
    public void Report(RoundRecord value) => act();
}

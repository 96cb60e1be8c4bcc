#:project Grove/Grove.csproj
#:property PublishAot=false
// Pruning by clients' votes: the table of docs/results/grove-federation-pruning.md.
//   dotnet run -c Release bench/federation-pruning.cs [WAY...] > docs/results/grove-federation-pruning.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Windows = 8, Tokens = 30_720;
const string Common = "tokens: 30720, batchSize: 4, contextLength: 128, learningRate: 3e-4";
(string Name, string Steps)[] recipes =
[
    ("pruned by size, not trained", "magnitude: { sparsity: 0.6 }"),
    ("pruned by size, then trained", $"magnitude: {{ sparsity: 0.6 }}|fineTune: {{ {Common} }}"),
    ("votes after round 1", $"fineTune: {{ {Common}, prune: rigl, sparsity: 0.6, pruneEvery: 1000 }}"),
    ("votes after round 1, regrowth", $"fineTune: {{ {Common}, prune: rigl, sparsity: 0.6, pruneEvery: 2, exchange: 0.2 }}"),
    ("votes a few at a time", $"fineTune: {{ {Common}, prune: gradual, sparsity: 0.6, pruneEvery: 2, pruneEnd: 0.5 }}"),
];

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];

Title("What pruning by clients' votes costs", "federation-pruning.cs");
Print($"Base: `{grove.Base.Source}`. {texts.Count} clients, one an assembly's documentation; {Tokens:N0} tokens of training over all of them, 2 local steps a round of 4 x 128 tokens, the base as the teacher, codec int8, seed 1. KL(base || pruned), nats a token, is what clients measure over {Windows} windows of 256 tokens of their own held-out text. MB are those of training; down are the model and its teacher, up updates and votes.\n");
Print($"| how | recipe | KL | worst client | MB up | of it votes | MB down |");
Print($"| --- | --- | ---: | ---: | ---: | ---: | ---: |");
foreach ((string name, string steps) in recipes.Where(way => args.Length == 0 || args.Contains(way.Name)))
{
    ClientTexts holders = new([.. texts.Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool, text.HeldOut)))],
        new FleetOptions { ContextLength = 256, Seed = 1, Training = new FederatedOptions { LocalSteps = 2, EvaluationWindows = 1, Codec = new Int8Codec() } }, grove.Pool, null, default);
    CompressionReport report = new CompressionPipeline(Recipe(steps), grove.Pool) { Seed = 1, Holders = holders, Base = () => Read().Model }.Run(Read().Model, []);
    FleetTraffic traffic = holders.Traffic;
    IReadOnlyList<ClientComparison> costs = holders.Compare((DecoderModel)Read().Model, (DecoderModel)report.Model, Windows);
    Print($"| {name} | `{steps.Replace("|", "` then `", StringComparison.Ordinal)}` | {costs.Average(client => client.Kl):0.0000} | {costs.Max(client => client.Kl):0.0000} | {traffic.BytesUp / 1e6:0.0} | {holders.Rounds.Sum(round => round.Masks?.VoteBytes ?? 0) / 1e6:0.0} | {traffic.BytesDown / 1e6:0} |");
}

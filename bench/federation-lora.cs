#:project Grove/Grove.csproj
#:property PublishAot=false
// What becomes of clients' changes of low rank: the table of docs/results/grove-federation-lora.md.
//   dotnet run -c Release bench/federation-lora.cs [WAY...] > docs/results/grove-federation-lora.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Windows = 8, Tokens = 30_720;
const string Steps = "sparseGpt: { sparsity: 0.5 }|fineTune: { tokens: 30720, batchSize: 4, contextLength: 128, learningRate: 2e-3, lora: 8 }";
(string Name, AdapterAveraging Kind, string? Ranks)[] ways =
[
    ("the mean of B, A as it was drawn (`ffa`)", AdapterAveraging.FrozenInputs, null),
    ("the mean of A and of B (`mean`)", AdapterAveraging.Mean, null),
    ("the mean of products (`stack`)", AdapterAveraging.Stacked, null),
    ("the same, ranks by capacity", AdapterAveraging.Stacked, "2:0.4,8:0.4,16:0.2"),
];

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];

Title("What becomes of clients' changes of low rank", "federation-lora.cs");
Print($"Base: `{grove.Base.Source}`. {texts.Count} clients, one an assembly's documentation. Recipe: `{Steps.Replace("|", "` then `", StringComparison.Ordinal)}`, {Tokens:N0} tokens over all of them, 2 local steps a round of 4 x 128 tokens, the base as the teacher, codec int8, seed 1. KL(base || compressed), nats a token, is what clients measure over {Windows} windows of 256 tokens of their own held-out text; MB are those of training.\n");
Print($"| how | ranks | KL | worst client | MB up | MB down |");
Print($"| --- | --- | ---: | ---: | ---: | ---: |");
if (args.Length == 0)
    Row("not trained", Steps.Split('|')[0], default, null);
foreach ((string name, AdapterAveraging kind, string? ranks) in ways.Where(way => args.Length == 0 || args.Contains(way.Name)))
    Row(name, Steps, kind, ranks);

void Row(string name, string steps, AdapterAveraging kind, string? ranks)
{
    ClientTexts holders = new([.. texts.Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool, text.HeldOut)))],
        new FleetOptions { CalibrationTokens = 4096, ContextLength = 256, Seed = 1, Adapters = kind, Ranks = ranks is null ? null : ClientRanks.Find(ranks), Training = new FederatedOptions { LocalSteps = 2, EvaluationWindows = 1, Codec = new Int8Codec() } }, grove.Pool, null, default);
    CompressionReport report = new CompressionPipeline(Recipe(steps), grove.Pool) { Seed = 1, Holders = holders, Base = () => Read().Model }.Run(Read().Model, []);
    IReadOnlyList<ClientComparison> costs = holders.Compare((DecoderModel)Read().Model, (DecoderModel)report.Model, Windows);
    Print($"| {name} | {(steps == Steps ? ranks ?? "8" : "")} | {costs.Average(client => client.Kl):0.0000} | {costs.Max(client => client.Kl):0.0000} | {holders.Rounds.Sum(round => round.BytesUp) / 1e6:0.0} | {holders.Rounds.Sum(round => round.BytesDown) / 1e6:0} |");
}

#:project Grove/Grove.csproj
#:property PublishAot=false
// What a model compressed for one client gives it: the table of docs/results/grove-federation-own.md.
//   dotnet run -c Release bench/federation-own.cs > docs/results/grove-federation-own.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Recipes;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Windows = 16, Tokens = 16_384;
string[] recipes = ["gptq: { bits: 3, groupSize: 32 }", "wanda: { sparsity: 0.5 }"];
double[] others = [0, 0.2];

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];

Title("What a model that is compressed for one client gives it", "federation-own.cs");
Print($"Base: `{grove.Base.Source}`. {texts.Count} clients, one an assembly's documentation, sums over {Tokens:N0} tokens of each (all of it where there are fewer), seed 1. KL(base || compressed), nats a token, that each client measures over {Windows} windows of 256 tokens of its own held-out text; in brackets against the model for all.\n");
foreach (string recipe in recipes)
{
    Print($"`{recipe}`\n");
    Print($"| client | for all | {string.Join(" | ", others.Select(weight => weight == 0 ? "its own sums alone" : string.Create(CultureInfo.InvariantCulture, $"others count {weight}")))} |");
    Print($"| --- | ---: |{string.Concat(others.Select(_ => " ---: |"))}");
    IReadOnlyList<ClientComparison> common = Cost(recipe, null, 0);
    double[][] own = [.. texts.Select(text => others.Select(weight => Cost(recipe, text.Name, weight).Single(client => client.Client == text.Name).Kl).ToArray())];
    for (int i = 0; i < texts.Count; i++)
    {
        ClientComparison before = common.Single(client => client.Client == texts[i].Name);
        Print($"| {before.Client} | {before.Kl:0.00000} ± {before.KlError:0.00000} | {string.Join(" | ", own[i].Select(kl => Cell(kl, before.Kl)))} |");
    }
    Print($"| mean | {common.Average(client => client.Kl).ToString("0.00000", CultureInfo.InvariantCulture)} | {string.Join(" | ", others.Select((_, w) => Cell(own.Average(row => row[w]), common.Average(client => client.Kl))))} |\n");
}

static string Cell(double kl, double before) => string.Create(CultureInfo.InvariantCulture, $"{kl:0.00000} ({100 * (kl / before - 1):+0;-0;0}%)");

IReadOnlyList<ClientComparison> Cost(string recipe, string? client, double weight)
{
    ClientTexts holders = new([.. texts.Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool, text.HeldOut)))],
        new FleetOptions { CalibrationTokens = Tokens, ContextLength = 256, Seed = 1, For = client, Others = weight }, grove.Pool, null, default);
    CompressionReport report = new CompressionPipeline(Recipe(recipe), grove.Pool) { Seed = 1, Holders = holders, Base = () => Read().Model }.Run(Read().Model, []);
    return holders.Compare((DecoderModel)Read().Model, (DecoderModel)report.Model, Windows);
}

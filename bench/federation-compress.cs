#:project Grove/Grove.csproj
#:property PublishAot=false
// What it costs that text stays with clients when the default model is compressed: the table of docs/results/grove-federation-compress.md.
//   dotnet run -c Release bench/federation-compress.cs [SEEDS] > docs/results/grove-federation-compress.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Tokens = 4096, Windows = 8;
int seeds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 3;
string[] recipes = ["gptq: { bits: 4, groupSize: 32 }", "gptq: { bits: 3, groupSize: 32 }", "wanda: { sparsity: 0.5 }", "sparseGpt: { sparsity: 0.5 }", "sparseGpt: { sparsity: 0.5 }|gptq: { bits: 4, groupSize: 32 }"];
string[] trained = ["qat: { bits: 3, groupSize: 32, tokens: 30720, batchSize: 4, contextLength: 128, teacher: 1 }", "sparseGpt: { sparsity: 0.5 }|fineTune: { tokens: 30720, batchSize: 4, contextLength: 128 }"];

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];

Title("What it costs that text stays with clients when the default model is compressed", "federation-compress.cs");
Print($"Base: `{grove.Base.Source}`. {texts.Count} clients, one an assembly's documentation. *In one place*: all of their text, {texts.Count * Tokens:N0} tokens of it. *With clients*: sums from each over {Tokens:N0} tokens, and rounds of training where a step trains (4 local steps, codec pq:16:64). *One alone*: the first client's text and no other. KL(base || compressed), nats a token, is what clients measure over {Windows} windows of 512 tokens of their own held-out text: the mean over all of them{(seeds > 1 ? $", ± the deviation over {seeds} seeds" : ", of one seed")}; and with clients that of the worst off.\n");
Print($"| recipe | in one place | with clients | worst client | one alone | MB up | MB down | seconds |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
foreach (string recipe in recipes)
    Row(recipe, seeds);
foreach (string recipe in trained)
    Row(recipe, 1);

void Row(string steps, int runs)
{
    Recipe recipe = Recipe(steps);
    List<double> together = [], apart = [], worst = [], alone = [];
    (FleetTraffic Traffic, double Seconds) last = (new FleetTraffic(0, 0, 0, []), 0);
    for (int seed = 1; seed <= runs; seed++)
    {
        together.Add(Kl(recipe, [("all", [.. texts.SelectMany(text => text.Train)], null)], texts.Count * Tokens, seed, out _).Average(client => client.Kl));
        IReadOnlyList<ClientComparison> clients = Kl(recipe, [.. texts.Select(text => (text.Name, text.Train, (int[]?)text.HeldOut))], Tokens, seed, out last);
        apart.Add(clients.Average(client => client.Kl));
        worst.Add(clients.Max(client => client.Kl));
        alone.Add(Kl(recipe, [(texts[0].Name, texts[0].Train, texts[0].HeldOut)], texts.Count * Tokens, seed, out _).Average(client => client.Kl));
    }
    Print($"| `{steps.Replace("|", "` then `", StringComparison.Ordinal)}` | {Show(together)} | {Show(apart)} | {worst.Average():0.00000} | {Show(alone)} | {last.Traffic.BytesUp / 1e6:0.0} | {last.Traffic.BytesDown / 1e6:0.0} | {last.Seconds:0} |");
}

// Compressed with some clients, judged by all.
IReadOnlyList<ClientComparison> Kl(Recipe recipe, IReadOnlyList<(string Name, int[] Train, int[]? HeldOut)> clients, int tokens, int seed, out (FleetTraffic, double) cost)
{
    FleetOptions options = new() { CalibrationTokens = tokens, Seed = seed, Training = new FederatedOptions { LocalSteps = 4, Codec = CodecRegistry.Find("pq:16:64") } };
    ClientTexts holders = new([.. clients.Select(client => new LocalChannel(new Client(client.Name, client.Train, grove.Pool, client.HeldOut)))], options, grove.Pool, null, default);
    CompressionReport report = new CompressionPipeline(recipe, grove.Pool) { Seed = seed, Holders = holders, Base = () => Read().Model }.Run(Read().Model, []);
    cost = (holders.Traffic, report.Seconds);
    ClientTexts judges = new([.. texts.Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool, text.HeldOut)))], options, grove.Pool, null, default);
    return judges.Compare((DecoderModel)Read().Model, (DecoderModel)report.Model, Windows);
}

string Show(List<double> values)
{
    double mean = values.Average();
    return string.Create(CultureInfo.InvariantCulture, $"{mean:0.00000}{(values.Count > 1 ? $" ± {Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1)):0.00000}" : "")}");
}

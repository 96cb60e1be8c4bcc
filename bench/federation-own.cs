#:project Grove/Grove.csproj
#:property PublishAot=false
// What a model compressed for one client gives it: the table of docs/results/grove-federation-own.md.
//   dotnet run -c Release bench/federation-own.cs > docs/results/grove-federation-own.md
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Recipes;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Windows = 12, Tokens = 8192;
const double Others = 0.3;
string[] recipes = ["wanda: { sparsity: 0.5 }", "gptq: { bits: 3, groupSize: 32 }"];

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];

Title("What a model that is compressed for one client gives it", "federation-own.cs");
Print($"Base: `{grove.Base.Source}`. {texts.Count} clients, one an assembly's documentation, sums over {Tokens:N0} tokens of each, seed 1. KL(base || compressed), nats a token, that each client measures over {Windows} windows of 256 tokens of its own held-out text, with its error over windows: of the model that was made from all clients' sums, of the one that was made from its own alone, and of one for which others' count {Others}; in brackets against the model for all.\n");
Print($"| recipe | client | for all | its own | with others |");
Print($"| --- | --- | ---: | ---: | ---: |");
foreach (string recipe in recipes)
{
    IReadOnlyList<ClientComparison> common = Cost(recipe, null);
    double own = 0, mixed = 0;
    foreach ((string name, _, _) in texts)
    {
        ClientComparison before = common.Single(client => client.Client == name), alone = Cost(recipe, name).Single(), with = Cost(recipe, name, Others).Single(client => client.Client == name);
        (own, mixed) = (own + alone.Kl / texts.Count, mixed + with.Kl / texts.Count);
        Print($"| `{recipe}` | {name} | {before.Kl:0.00000} ± {before.KlError:0.00000} | {alone.Kl:0.00000} ± {alone.KlError:0.00000} ({Change(alone.Kl, before.Kl)}) | {with.Kl:0.00000} ± {with.KlError:0.00000} ({Change(with.Kl, before.Kl)}) |");
    }
    double mean = common.Average(client => client.Kl);
    Print($"| `{recipe}` | mean | {mean:0.00000} | {own:0.00000} ({Change(own, mean)}) | {mixed:0.00000} ({Change(mixed, mean)}) |");
}

static string Change(double kl, double before) => FormattableString.Invariant($"{Math.Round(100 * (kl / before - 1), 1):+0.0;-0.0;0.0}%");

IReadOnlyList<ClientComparison> Cost(string recipe, string? client, double others = 0)
{
    ClientTexts holders = new([.. texts.Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool, text.HeldOut)))],
        new FleetOptions { CalibrationTokens = Tokens, ContextLength = 256, Seed = 1, For = client, Others = others }, grove.Pool, null, default);
    CompressionReport report = new CompressionPipeline(Recipe(recipe), grove.Pool) { Seed = 1, Holders = holders, Base = () => Read().Model }.Run(Read().Model, []);
    return holders.Compare((DecoderModel)Read().Model, (DecoderModel)report.Model, Windows);
}

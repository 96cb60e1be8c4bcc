#:project Grove/Grove.csproj
#:property PublishAot=false
// What each codec of updates costs in bytes and in loss when clients fine-tune the default model: the table of docs/results/grove-federation-codecs.md.
//   dotnet run -c Release bench/federation-codecs.cs > docs/results/grove-federation-codecs.md
//   dotnet run -c Release bench/federation-codecs.cs -- target             only the first table; codecs: only the second
//   dotnet run -c Release bench/federation-codecs.cs -- int8 topk:0.02     only these rows of the second
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const string Reference = "identity";
const string Target = "topk:0.05";
const int HeldOutWindows = 160, BriefClients = 3;
int[] seeds = [1, 2, 3];
string[] ablation =
[
    Reference, "float16", "int8", "int8-feedback", "int4", "sign", Target, "topk:0.01", "topk:0.01:float16", "randomk:0.05", "powersgd:4", "powersgd:1", "pq:8:64", "sketch:0.05",
];
TrainingOptions training = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 0, BatchSize = 2, ContextLength = 128, WeightDecay = 0.01, Beta2 = 0.99 };
FederatedOptions whole = new() { Rounds = 40, LocalSteps = 1, EvaluationWindows = 1, Training = training }, brief = whole with { Rounds = 8 };

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];
TokenWindows heldOut = new([.. texts.SelectMany(text => text.HeldOut)], training.ContextLength, 1);
Dictionary<(int, int), double> reference = [];

Title("What codecs of updates cost the default model", "federation-codecs.cs");
Print($"Base: `{grove.Base.Source}`, loss {Loss((DecoderModel)Read().Model):F4}. {texts.Count} clients, one an assembly's documentation, all in every round (in the second table the first {BriefClients}); a local step (AdamW) is of {training.BatchSize} x {training.ContextLength} tokens, the rate falling from {training.LearningRate:0.0e0} to 0 by a cosine. *Bytes up* are all of a run's messages against 4 bytes a number. *Loss* is that of the final model over {HeldOutWindows} windows of the clients' held-out text, nats a token; *regression* is against {Reference} with the same seed. *Encode* and *decode* are of one update, on the machine as it was.");

if (args.Length == 0 || args.Contains("target"))
{
    Head($"At most 1.5% of the bytes, at most 0.5% of the loss: {whole.Rounds} rounds of {whole.LocalSteps} step, seeds {string.Join(", ", seeds)}");
    foreach (string codec in (string[])[Reference, Target])
        Row(codec, whole, seeds, texts.Count);
}
if (args is not ["target"])
{
    Head($"Every codec: {brief.Rounds} rounds of {brief.LocalSteps} step with {BriefClients} clients, seed {seeds[0]}");
    foreach (string codec in args.Length == 0 || args.Contains("codecs") ? ablation : [Reference, .. args])
        Row(codec, brief, [seeds[0]], BriefClients);
    Print($"\nSo few rounds leave unsent much of what error feedback holds back: the regressions of codecs with state are far above those of a whole run.");
}

static void Head(string title)
{
    Print($"\n## {title}\n");
    Print($"| codec | bytes up | loss | regression | encode, ms | decode, ms |");
    Print($"| --- | ---: | ---: | ---: | ---: | ---: |");
}

void Row(string name, FederatedOptions options, int[] seeds, int clients)
{
    ICodec codec = CodecRegistry.Find(name);
    List<double> losses = [], regressions = [];
    double share = 0;
    ParameterSet trained = ParameterSet.Copy(grove.Base.Model);
    foreach (int seed in seeds)
    {
        DecoderModel model = (DecoderModel)Read().Model;
        IClientChannel[] channels = [.. texts.Take(clients).Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool)))];
        ImmutableArray<RoundRecord> rounds = Simulation.Run(model, channels, options with { Codec = codec, Seed = seed, Training = training with { Seed = seed } });
        losses.Add(Loss(model));
        if (name == Reference)
            reference[(options.Rounds, seed)] = losses[^1];
        regressions.Add(losses[^1] / reference[(options.Rounds, seed)] - 1);
        share += (double)rounds.Sum(round => round.BytesUp) / rounds.Sum(round => round.Float32BytesUp) / seeds.Length;
        trained = ParameterSet.Copy(model);
    }
    (double encode, double decode) = Time(codec, trained);
    string regression = name == Reference ? "" : string.Create(CultureInfo.InvariantCulture, $"{100 * regressions.Average():F2}%{(seeds.Length > 1 ? $" (at worst {100 * regressions.Max():F2}%)" : "")}");
    string spread = Spread(losses) is { } deviation ? string.Create(CultureInfo.InvariantCulture, $" ± {deviation:F4}") : "";
    Print($"| `{codec.Name}` | {100 * share:F2}% | {losses.Average():F4}{spread} | {regression} | {encode:F0} | {decode:F0} |");
}

double Loss(DecoderModel model) => new Trainer(model, heldOut, training, grove.Pool).Measure(heldOut, HeldOutWindows);

(double Encode, double Decode) Time(ICodec codec, ParameterSet trained)
{
    ParameterSet before = ParameterSet.Copy(grove.Base.Model);
    long start = Stopwatch.GetTimestamp();
    byte[] bytes = SafeTensorsWriter.ToBytes(codec.Encode(before, trained, codec.NewMemory(before), new Random(1)));
    double encode = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    start = Stopwatch.GetTimestamp();
    using SafeTensors message = SafeTensors.Read("update", bytes);
    codec.Decode(message, before);
    return (encode, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
}

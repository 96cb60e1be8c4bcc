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
const string Target = "pq:16:64";
const int HeldOutWindows = 160, Clients = 3;
int[] seeds = [1, 2, 3];
string[] ablation =
[
    Reference, "float16", "int8", "int8-feedback", "int4", "sign", "topk:0.05", "topk:0.01", "topk:0.01:float16", "randomk:0.05", "powersgd:4", "powersgd:1", "pq:8:64", Target, "pq:16:16", "bookpq:16:64", "sketch:0.05",
];
TrainingOptions training = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 0, BatchSize = 2, ContextLength = 128, WeightDecay = 0.01, Beta2 = 0.99 };
FederatedOptions options = new() { Rounds = 8, LocalSteps = 1, EvaluationWindows = 1, Training = training };

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];
TokenWindows heldOut = new([.. texts.SelectMany(text => text.HeldOut)], training.ContextLength, 1);
Dictionary<int, double> reference = [];

Title("What codecs of updates cost the default model", "federation-codecs.cs");
Print($"Base: `{grove.Base.Source}`, loss {Loss((DecoderModel)Read().Model):F4}. {Clients} clients, each an assembly's documentation, and {options.Rounds} rounds of {options.LocalSteps} local step of each; a step (AdamW) is of {training.BatchSize} x {training.ContextLength} tokens, the rate falling from {training.LearningRate:0.0e0} to 0 by a cosine. *Bytes up* are all of a run's messages against 4 bytes a number. *Loss* is that of the final model over {HeldOutWindows} windows of the held-out text of all {texts.Count} assemblies, nats a token; *regression* is against {Reference} with the same seed. *Encode* and *decode* are of one update, on the machine as it was.");

if (args.Length == 0 || args.Contains("target"))
{
    Head($"At most 1.5% of the bytes, at most 0.5% of the loss: seeds {string.Join(", ", seeds)}");
    foreach (string codec in (string[])[Reference, Target])
        Row(codec, seeds);
}
if (args is not ["target"])
{
    Head($"Every codec: seed {seeds[0]}");
    foreach (string codec in args.Length == 0 || args.Contains("codecs") ? ablation : [Reference, .. args])
        Row(codec, [seeds[0]]);
}

static void Head(string title)
{
    Print($"\n## {title}\n");
    Print($"| codec | bytes up | loss | regression | encode, ms | decode, ms |");
    Print($"| --- | ---: | ---: | ---: | ---: | ---: |");
}

void Row(string name, int[] seeds)
{
    ICodec codec = CodecRegistry.Find(name);
    List<double> losses = [], regressions = [];
    double share = 0;
    ParameterSet trained = ParameterSet.Copy(grove.Base.Model);
    // What times an update alone has the codebook that a run begins with.
    ICodec alone = codec is SharedProductCodec shared ? shared.With(shared.NewBook(new Random(1))) : codec;
    foreach (int seed in seeds)
    {
        DecoderModel model = (DecoderModel)Read().Model;
        IClientChannel[] channels = [.. texts.Take(Clients).Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool)))];
        ImmutableArray<RoundRecord> rounds = Simulation.Run(model, channels, options with { Codec = codec, Seed = seed, Training = training with { Seed = seed } });
        losses.Add(Loss(model));
        if (name == Reference)
            reference[seed] = losses[^1];
        regressions.Add(losses[^1] / reference[seed] - 1);
        share += (double)rounds.Sum(round => round.BytesUp) / rounds.Sum(round => round.Float32BytesUp) / seeds.Length;
        trained = ParameterSet.Copy(model);
    }
    (double encode, double decode) = Time(alone, trained);
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

#:project Grove/Grove.csproj
#:property PublishAot=false
// What attackers do to federated fine-tuning of the default model, by rule: the table of docs/results/grove-federation-robust.md.
//   dotnet run -c Release bench/federation-robust.cs > docs/results/grove-federation-robust.md
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Attacks;
using Coppice.Federation.Codecs;
using Coppice.Federation.Robust;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int HeldOutWindows = 160;
string[] attacks = ["", "signflip:0.2:10"], rules = ["", "trimmed:0.2", "krum:0.2", "median"];
TrainingOptions training = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 0.1, BatchSize = 2, ContextLength = 128, WeightDecay = 0.01, Beta2 = 0.99 };
FederatedOptions options = new() { Rounds = 4, LocalSteps = 1, EvaluationWindows = 1, Training = training, Codec = new Int8Codec() };

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];
TokenWindows heldOut = new([.. texts.SelectMany(text => text.HeldOut)], training.ContextLength, 1);
DecoderModel start = (DecoderModel)Read().Model;

Title("What attackers do to federated fine-tuning of the default model", "federation-robust.cs");
Print($"Base: `{grove.Base.Source}`, loss {Loss(start):F3}. {texts.Count} clients, one an assembly's documentation, of which one attacks; {options.Rounds} rounds of {options.LocalSteps} local step (AdamW) of {training.BatchSize} x {training.ContextLength} tokens, codec {options.Codec.Name}, seed {options.Seed}. Losses are the final model's over {HeldOutWindows} windows of all clients' held-out text, nats a token. Bulyan needs seven clients where one attacks, so it is not here.\n");
Print($"| rule | {string.Join(" | ", attacks.Select(attack => attack == "" ? "no attack" : $"`{attack}`"))} |");
Print($"| --- |{string.Concat(attacks.Select(_ => " ---: |"))}");
foreach (string rule in rules)
    Print($"| {(rule == "" ? "average" : $"`{rule}`")} | {string.Join(" | ", attacks.Select(attack => Cell(rule, attack)))} |");

string Cell(string rule, string attack)
{
    DecoderModel model = (DecoderModel)Read().Model;
    Attack? own = attack == "" ? null : Attack.Find(attack);
    IReadOnlySet<string> attackers = own?.Attackers(texts.Select(text => text.Name), 1) ?? new HashSet<string>();
    IClientChannel[] channels = [.. texts.Select(text => attackers.Contains(text.Name)
        ? new LocalChannel(new Client(text.Name, own!.Text(text.Train, 1), grove.Pool) { Attack = own })
        : new LocalChannel(new Client(text.Name, text.Train, grove.Pool)))];
    Simulation.Run(model, channels, options with { Robust = rule == "" ? null : RobustRegistry.Find(rule) });
    return Loss(model).ToString("F3", System.Globalization.CultureInfo.InvariantCulture);
}

double Loss(DecoderModel model) => new Trainer(model, heldOut, training, grove.Pool).Measure(heldOut, HeldOutWindows);

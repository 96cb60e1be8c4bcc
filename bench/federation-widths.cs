#:project Grove/Grove.csproj
#:property PublishAot=false
// What clients of less capacity give a model and get from it: the table of docs/results/grove-federation-widths.md.
//   dotnet run -c Release bench/federation-widths.cs > docs/results/grove-federation-widths.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int HeldOutWindows = 80;
TrainingOptions training = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 0.1, BatchSize = 4, ContextLength = 128, WeightDecay = 0.01, Beta2 = 0.99 };
FederatedOptions options = new() { Rounds = 5, LocalSteps = 4, EvaluationWindows = 1, Training = training, Codec = new Int8Codec() };

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];
TokenWindows heldOut = new([.. texts.SelectMany(text => text.HeldOut)], training.ContextLength, 1);
string[] wide = [.. texts.Take(2).Select(text => text.Name)];
string mixed = $"{string.Join(",", wide.Select(name => $"{name}=1"))},0.5";

Title("What clients of less capacity give a model, and get from it", "federation-widths.cs");
Print($"Base: `{grove.Base.Source}`. {texts.Count} clients, one an assembly's documentation; {options.Rounds} rounds of {options.LocalSteps} local steps (AdamW) of {training.BatchSize} x {training.ContextLength} tokens, codec {options.Codec.Name}, seed {options.Seed}. Two clients ({string.Join(", ", wide)}) can train the whole model, three half of its heads and neurons. Losses over {HeldOutWindows} windows of all clients' held-out text, nats a token: of the model, and of its part of width 0.5.\n");
Print($"| who trains | the model | its half | MB up | MB down |");
Print($"| --- | ---: | ---: | ---: | ---: |");
Row("nobody", null, []);
Row("all, the whole model", null, texts.Select(text => text.Name));
Row("the two, the whole model", null, wide);
Row("the two the whole, three its half", mixed, texts.Select(text => text.Name));
Row("all, its half", "0.5", texts.Select(text => text.Name));

void Row(string who, string? widths, IEnumerable<string> clients)
{
    DecoderModel model = (DecoderModel)Read().Model;
    SubModel half = ClientWidths.Find("0.5").Deal(model, ["part"], 1)["part"];
    HashSet<string> names = [.. clients];
    IReadOnlyList<RoundRecord> rounds = names.Count == 0 ? [] : Simulation.Run(model, [.. texts.Where(text => names.Contains(text.Name)).Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool)))],
        options with { Widths = widths is null ? null : ClientWidths.Find(widths) });
    Print($"| {who} | {Loss(model):0.000} | {Loss(half.Build(model)):0.000} | {rounds.Sum(round => round.BytesUp) / 1e6:0} | {rounds.Sum(round => round.BytesDown) / 1e6:0} |");
}

double Loss(DecoderModel model) => new Trainer(model, heldOut, training, grove.Pool).Measure(heldOut, HeldOutWindows);

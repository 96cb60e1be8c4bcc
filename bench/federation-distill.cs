#:project Grove/Grove.csproj
#:property PublishAot=false
// What clients with models of different shapes learn from one another: the table of docs/results/grove-federation-distill.md.
//   dotnet run -c Release bench/federation-distill.cs > docs/results/grove-federation-distill.md
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Distill;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Text;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int HeldOutWindows = 32;
const string Widths = "System.Security.Cryptography=1,System.Data.Common=1,0.5";
TrainingOptions training = new() { LearningRate = 5e-4, WarmupSteps = 0, FinalRateShare = 1, BatchSize = 4, ContextLength = 128, WeightDecay = 0.01, Beta2 = 0.99 };
FederatedDistillationOptions options = new() { Rounds = 3, PublicWindows = 16, DigestSteps = 6, LocalSteps = 4, EvaluationWindows = 2, Training = training };

using Grove grove = new(1);
List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];
int[] known = TokenWindows.Tokenize(grove.Base.Tokenizer, Corpus.Open("sdk:train").Documents.Take(400));
DecoderModel start = (DecoderModel)grove.Base.Model;
IReadOnlyDictionary<string, SubModel> parts = ClientWidths.Find(Widths).Deal(start, texts.Select(text => text.Name), 1);

Title("What clients with models of different shapes learn from one another", "federation-distill.cs");
Print($"{texts.Count} clients, one an assembly's documentation; two begin with `{grove.Base.Source}`, three with its part of width 0.5, an ordinary smaller model. {options.Rounds} rounds of {options.PublicWindows} windows of {training.ContextLength} tokens of `sdk:train`, {options.DigestSteps} steps towards the mean of logits and {options.LocalSteps} on a client's own text, of {training.BatchSize} x {training.ContextLength} tokens (AdamW, rate {training.LearningRate}), seed {options.Seed}. *Alone*: the same with no other client, so that its own logits are what is agreed on. Losses over {HeldOutWindows} windows of each client's own held-out text, nats a token.\n");
Dictionary<string, DecoderModel> together = texts.ToDictionary(text => text.Name, text => Begin(text.Name));
IReadOnlyList<DistillationRecord> records = Run(texts.Select(text => text.Name), together);
Print($"| client | numbers | before | alone | together |");
Print($"| --- | ---: | ---: | ---: | ---: |");
foreach ((string name, _, int[] heldOut) in texts)
{
    DecoderModel alone = Begin(name);
    Run([name], new() { [name] = alone });
    Print($"| {name} | {alone.ParameterCount:N0} | {Loss(Begin(name), heldOut):0.000} | {Loss(alone, heldOut):0.000} | {Loss(together[name], heldOut):0.000} |");
}
Print($"\nTogether: {records.Sum(record => record.BytesUp) / 1e6:0.0} MB up, {records.Sum(record => record.BytesDown) / 1e6:0.0} MB down.");

DecoderModel Begin(string name) => parts.TryGetValue(name, out SubModel? part) ? part.Build(start) : (DecoderModel)Read().Model;

IReadOnlyList<DistillationRecord> Run(IEnumerable<string> names, Dictionary<string, DecoderModel> models) =>
    FederatedDistillation.Run([.. texts.Where(text => names.Contains(text.Name)).Select(text => new LocalChannel(new Client(text.Name, text.Train, grove.Pool) { OwnModel = models[text.Name] }))], known, start.VocabularySize, options);

double Loss(DecoderModel model, int[] heldOut)
{
    TokenWindows windows = new(heldOut, training.ContextLength, 1);
    return new Trainer(model, windows, training, grove.Pool).Measure(windows, HeldOutWindows);
}

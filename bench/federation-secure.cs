#:project Grove/Grove.csproj
#:property PublishAot=false
// What secure aggregation costs when clients fine-tune the default model: the tables of docs/results/grove-federation-secure.md.
//   dotnet run -c Release bench/federation-secure.cs > docs/results/grove-federation-secure.md
//   dotnet run -c Release bench/federation-secure.cs -- protocol      only the masks and the protocol; rounds: only the rounds that train
using System.Globalization;
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Secure;
using Coppice.Models;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int HeldOutWindows = 40, Small = 100_000, Goes = 2;
TrainingOptions training = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 1, BatchSize = 4, ContextLength = 128, WeightDecay = 0.01, Beta2 = 0.99 };
FederatedOptions options = new() { Rounds = 1, LocalSteps = 4, EvaluationWindows = 1, Training = training, Codec = new IdentityCodec() };

using Grove grove = new(1);
int numbers = (int)((DecoderModel)grove.Base.Model).ParameterCount;
Title("What secure aggregation costs the default model", "federation-secure.cs");
Print($"Others used the machine too. Options are the defaults: 16 bits a number, turned, a fifth of adversaries and three tenths of dropouts reckoned with.");

if (!args.Contains("rounds"))
    Protocol();
if (args.Contains("protocol"))
    return;

List<(string Name, int[] Train, int[] HeldOut)> texts = [.. ClientCorpus.Open("sdk").Select(client =>
    (client.Client, TokenWindows.Tokenize(grove.Base.Tokenizer, client.Train.Documents), TokenWindows.Tokenize(grove.Base.Tokenizer, client.HeldOut!.Documents)))];
TokenWindows heldOut = new([.. texts.SelectMany(text => text.HeldOut)], training.ContextLength, 1);
Print($"\n## Rounds that train\n");
Print($"Base: `{grove.Base.Source}`, loss {Loss((DecoderModel)Read().Model):F4}. {texts.Count} clients, each an assembly's documentation; a round of {options.LocalSteps} local steps (AdamW) of {training.BatchSize} x {training.ContextLength} tokens, all in one process: *seconds* are those of processors, of all clients and the server together, which others on the machine hardly change. {Goes} goes after one that does not count, each of all rows in turn: medians of the seconds, and of the seconds against the first row of the same go. *Loss* is that of the model after the round over {HeldOutWindows} windows of all clients' held-out text, nats a token.\n");
Print($"| | seconds | against | bytes up | loss | shortened |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: |");
(string Name, SecureOptions? Secure)[] rows = [("every update in the open, float32", null), .. ((string[])["hadamard:5", "plain:5"]).Select(name => ($"`{name}`", (SecureOptions?)SecureOptions.Find(name)))];
List<double>[] seconds = [.. rows.Select(_ => new List<double>())];
string[] ends = new string[rows.Length];
for (int go = 0; go <= Goes; go++)
    for (int row = 0; row < rows.Length; row++)
    {
        DecoderModel model = (DecoderModel)Read().Model;
        Client[] clients = [.. texts.Select(text => new Client(text.Name, text.Train, grove.Pool, text.HeldOut))];
        TimeSpan start = Environment.CpuUsage.TotalTime;
        RoundRecord round = Simulation.Run(model, rows[row].Secure is null ? [.. clients.Select(client => new LocalChannel(client))] : SecureChannel.ForAll(clients), options with { Secure = rows[row].Secure })[0];
        if (go > 0)
            seconds[row].Add((Environment.CpuUsage.TotalTime - start).TotalSeconds);
        if (go == 0)
            ends[row] = string.Create(CultureInfo.InvariantCulture, $"{100.0 * round.BytesUp / round.Float32BytesUp:F1}% | {Loss(model):F4} | {round.Secure?.Shortened}");
    }
for (int row = 0; row < rows.Length; row++)
    Print($"| {rows[row].Name} | {Median(seconds[row]):F1} | {(row == 0 ? "" : Median(seconds[row].Zip(seconds[0], (own, open) => own / open)).ToString("F2", CultureInfo.InvariantCulture))} | {ends[row]} |");

static double Median(IEnumerable<double> values)
{
    double[] sorted = [.. values.Order()];
    return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
}

double Loss(DecoderModel model) => new Trainer(model, heldOut, training, grove.Pool).Measure(heldOut, HeldOutWindows);

void Protocol()
{
    Print($"\n## Masks\n");
    Print($"A mask of {numbers:N0} numbers is made (AES-256 over a counter) and added at {SecureAttempt.MaskBytesPerSecond(numbers) / 1e9:F1} GB a second of one processor, the median of nine.");

    Print($"\n## The protocol alone\n");
    Print($"Without training and network. *Neighbours* of a client, with each of whom it shares a mask; *up* and *down* of a client that stays, without the model on its way down; *client* and *server* are milliseconds of processors for all of one client's work, and for all of the server's. Dropouts leave in equal parts before their shares, before their masked numbers and before the last step. *Exact*: the sum is that of the survivors' whole numbers, every one of them.\n");
    Print($"| clients | dropouts | numbers | neighbours | bits | up | of float32 | down | client, ms | server, ms | exact |");
    Print($"| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    foreach ((int clients, int dropouts, int size) in ((int, int, int)[])[(5, 0, numbers), (10, 0, numbers), (10, 3, numbers), (20, 6, numbers), (100, 0, Small), (100, 30, Small), (200, 60, Small)])
    {
        SecureAttempt attempt = SecureAttempt.Run(clients, size, dropouts, seed: 1);
        Print($"| {clients} | {dropouts} | {size:N0} | {attempt.Degree} | {attempt.ModulusBits} | {attempt.BytesUp:N0} | {100.0 * attempt.BytesUp / (4.0 * size):F1}% | {attempt.BytesDown:N0} | {attempt.ClientMilliseconds:F0} | {attempt.ServerMilliseconds:F0} | {(attempt.IsExact ? "yes" : "NO")} |");
    }
}

#:project Grove/Grove.csproj
#:property PublishAot=false
// Whether a federated model tells whose text it was trained on, with and without differential privacy: the table of docs/results/grove-federation-membership.md.
//   dotnet run -c Release bench/federation-membership.cs > docs/results/grove-federation-membership.md
//   dotnet run -c Release bench/federation-membership.cs -- 2     with 2 seeds
using System.Collections.Immutable;
using System.Globalization;
using Coppice.Bench;
using Coppice.Evaluation;
using Coppice.Federation;
using Coppice.Federation.Privacy;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Vocabulary = 512, Length = 32, Examples = 6, Clients = 32;
const double NextToNone = 1e-6, Delta = 1e-3, FalsePositives = 0.01;
int seeds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 3;
TrainingOptions training = new() { LearningRate = 5e-3, WarmupSteps = 0, FinalRateShare = 0.1, BatchSize = 4, ContextLength = Length, WeightDecay = 0, Beta2 = 0.99 };
FederatedOptions options = new() { Rounds = 30, LocalSteps = 2, EvaluationWindows = 1, Training = training };
(double Clip, double Noise)[] levels = [(1, NextToNone), (1, 0.5), (1, 1), (1, 2), (0.3, NextToNone), (0.3, 2)];
(string Name, PrivacyOptions? Privacy)[] settings =
[
    ("no privacy", null),
    .. levels.Select(level => (Name(level.Clip, level.Noise), (PrivacyOptions?)new PrivacyOptions { Clip = level.Clip, Noise = level.Noise, Delta = Delta })),
];

// Matrices this small are not worth a second thread.
using WorkerPool pool = new(1);
// The tokenizer learns from text of which nobody is a member.
Tokenizer tokenizer = BpeTrainer.Train(Corpus.Open("sdk:valid").Documents.Select(document => document.Text), new BpeTraining { VocabularySize = Vocabulary });
int[] text = TokenWindows.Tokenize(tokenizer, Corpus.Open("sdk:train").Documents.Index().Where(document => document.Index % 4 == 0).Select(document => document.Item));
DecoderConfig config = new() { HiddenSize = 32, IntermediateSize = 96, LayerCount = 2, HeadCount = 2, KeyValueHeadCount = 2, HeadWidth = 16, VocabularySize = Vocabulary, ContextLength = Length };

Dictionary<string, List<Attacked>> results = settings.ToDictionary(setting => setting.Name, setting => new List<Attacked>());
for (int seed = 1; seed <= seeds; seed++)
{
    // Three groups of clients with texts from one distribution: who trains, who does not, and whom the attacker trains a reference on.
    int[][] own = Texts(seed);
    int[][] members = own[..Clients], others = own[Clients..(2 * Clients)];
    DecoderModel reference = Train(own[(2 * Clients)..], null, seed, out _);
    foreach ((string name, PrivacyOptions? privacy) in settings)
        results[name].Add(Attack(Train(members, privacy, seed, out double? epsilon), reference, members, others, epsilon));
}

Title("Membership inference against federated training", "federation-membership.cs");
Print($"{Clients} clients of {Examples} x {Length} tokens of `sdk:train`, dealt at random, train a Llama of {new Trainer(Initialization.Random(config, 1), new TokenWindows(text, Length, 1), training, pool).Optimizer.Parameters.Sum(parameter => (long)parameter.Tensor.Data.Length):N0} weights from scratch: {options.Rounds} rounds of {options.LocalSteps} local steps (AdamW, {training.LearningRate:0.0e0}) of {training.BatchSize} x {Length} tokens, all clients in every round, codec {options.Codec.Name}. Mean ± standard deviation over {seeds} seeds, each of which draws clients, texts and weights anew.\n");
Print($"The attacker has the final model and texts of {2 * Clients} clients, of which half were trained on. By *loss* it takes a low loss for a member's (Yeom et al. 2018); *calibrated*, a loss below that of a reference, which it trained the same way on {Clients} other clients (Watson et al. 2022). An *example* is {Length} tokens; a client's score, the mean over its {Examples}, is of what client-level privacy protects. AUC is 0.5 for guessing; TPR is at {100 * FalsePositives:0}% false positives, where guessing has {FalsePositives:0.00}. Losses of the final model are nats a token. Epsilon is for delta {Delta}; *none* guarantees nothing.\n");
Print($"| training | epsilon | loss, members | loss, others | AUC of examples, by loss | calibrated | TPR of examples, calibrated | AUC of clients, calibrated |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
foreach ((string name, PrivacyOptions? privacy) in settings)
{
    List<Attacked> runs = results[name];
    string epsilon = privacy is null or { Noise: NextToNone } ? "none" : runs[0].Epsilon!.Value.ToString("0.0", CultureInfo.InvariantCulture);
    Print($"| {name} | {epsilon} | {Cell(run => run.MemberLoss)} | {Cell(run => run.OtherLoss)} | {Cell(run => run.LossArea)} | {Cell(run => run.CalibratedArea)} | {Cell(run => run.CalibratedRate)} | {Cell(run => run.ClientArea)} |");

    string Cell(Func<Attacked, double> value) => string.Create(CultureInfo.InvariantCulture, $"{runs.Average(value):0.000} ± {Spread([.. runs.Select(value)]) ?? double.NaN:0.000}");
}

static string Name(double clip, double noise) => noise == NextToNone
    ? string.Create(CultureInfo.InvariantCulture, $"clipped to {clip}, next to no noise")
    : string.Create(CultureInfo.InvariantCulture, $"`central:{clip}:{noise}:{Delta}`");

// Each client's tokens: Examples windows and one more, as the trainer cuts windows at places of its own.
int[][] Texts(int seed)
{
    int length = (Examples + 1) * Length + 1;
    int[] places = [.. Enumerable.Range(0, text.Length / length)];
    new Random(seed).Shuffle(places);
    return [.. places.Take(3 * Clients).Select(place => text[(place * length)..((place + 1) * length)])];
}

DecoderModel Train(int[][] clients, PrivacyOptions? privacy, int seed, out double? epsilon)
{
    DecoderModel model = Initialization.Random(config, seed);
    IClientChannel[] channels = [.. clients.Select((tokens, i) => new LocalChannel(new Client($"client-{i:00}", tokens, pool)))];
    ImmutableArray<RoundRecord> rounds = Simulation.Run(model, channels, options with { Privacy = privacy, Seed = seed, Training = training with { Seed = seed } });
    epsilon = rounds[^1].Epsilon;
    return model;
}

Attacked Attack(DecoderModel model, DecoderModel reference, int[][] members, int[][] others, double? epsilon)
{
    double[] memberLoss = Losses(model, members), otherLoss = Losses(model, others), memberReference = Losses(reference, members), otherReference = Losses(reference, others);
    double[] memberScores = [.. memberReference.Zip(memberLoss, (without, with) => without - with)], otherScores = [.. otherReference.Zip(otherLoss, (without, with) => without - with)];
    return new Attacked(epsilon, memberLoss.Average(), otherLoss.Average(), RocCurve.Area(Negated(memberLoss), Negated(otherLoss)), RocCurve.Area(memberScores, otherScores),
        RocCurve.TruePositivesAt(FalsePositives, memberScores, otherScores), RocCurve.Area(ByClient(memberScores), ByClient(otherScores)));

    static double[] Negated(double[] losses) => [.. losses.Select(loss => -loss)];
    static double[] ByClient(double[] scores) => [.. scores.Chunk(Examples).Select(own => own.Average())];
}

// Mean nats a token of each window, client after client.
double[] Losses(DecoderModel model, int[][] clients)
{
    ForwardContext context = new(pool);
    List<double> losses = [];
    foreach (int[] tokens in clients)
        for (int i = 0; i < Examples; i++)
        {
            context.Reset();
            ReadOnlySpan<float> logits = model.Forward(new Batch(tokens.AsSpan(i * Length, Length)), context).Data;
            double nats = 0;
            for (int t = 0; t < Length; t++)
                nats += CrossEntropy.Row(logits.Slice(t * Vocabulary, Vocabulary), tokens[i * Length + t + 1]);
            losses.Add(nats / Length);
        }
    return [.. losses];
}

sealed record Attacked(double? Epsilon, double MemberLoss, double OtherLoss, double LossArea, double CalibratedArea, double CalibratedRate, double ClientArea);

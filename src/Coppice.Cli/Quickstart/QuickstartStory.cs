using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Federation;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Report;
using Coppice.Report.Data;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Cli.Quickstart;

/// <summary>Fine-tunes the default model with clients that share no text, compresses it in several ways, measures and explains what that cost, and writes it for other programs.</summary>
sealed class QuickstartStory(Session session, string output, CancellationToken cancel)
{
    const int CalibrationTokens = 8192, HeldOutDocuments = 40, GeneratedTokens = 64, BlameTokens = 1024, PromptTokens = 24, Prompts = 3;
    const string BaseFolder = "base", CompressedFolder = "compressed", GgufFile = "compressed.gguf", ReportFile = "report.html";

    static readonly FederatedOptions Federated = new()
    {
        Rounds = 4,
        LocalSteps = 5,
        Download = DownloadFormat.Float16,
        EvaluationWindows = 6,
        Training = new TrainingOptions { LearningRate = 1e-3, WarmupSteps = 2, FinalRateShare = 0.2, BatchSize = 6, ContextLength = 256, WeightDecay = 0.01, Beta2 = 0.99 },
    };

    readonly List<(string Name, double Seconds)> steps = [];

    public QuickstartResult Tell()
    {
        QuickstartResult? result = null;
        AtomicFolder.Write(output, ExistingFolder.ReplaceOurs, folder => result = Tell(folder));
        return result!;
    }

    QuickstartResult Tell(string folder)
    {
        (LanguageModel grove, IReadOnlyList<ClientCorpus> corpora, EvaluationText text) = Step("read the model and the text", () =>
        {
            LanguageModel model = ModelArgument.Load(ModelArgument.Grove);
            IReadOnlyList<ClientCorpus> clients = ClientCorpus.Open("sdk", cancel: cancel);
            Corpus held = new("sdk:client/*:test", [.. SdkDocumentation.ClientAssemblies.SelectMany(name => Corpus.Open($"sdk:client/{name}:test", cancel: cancel).Documents.Take(HeldOutDocuments))]);
            return (model, clients, EvaluationText.Create(held, model.Tokenizer, Protocol.Documents(model.Model.ContextLength), cancel));
        });
        Say($"grove: {grove.Model.ParameterCount:N0} parameters; measured on {text.ScoredTokens:N0} tokens of {text.Documents.Count} held-out documents of {corpora.Count} clients");
        PerplexityScores before = Perplexity.Measure(grove.Model, text, session.Pool, cancel: cancel);

        ImmutableArray<RoundRecord> rounds = Step($"fine-tune with {corpora.Count} clients that share no text", () => FineTune(grove, corpora));
        grove.Save(Path.Combine(folder, BaseFolder));

        List<(string Name, LanguageModel Model, CompressionReport? Report)> models = [(QuickstartVariants.Base, Load(folder), null)];
        // Text that anyone may see: what the default model was trained on.
        IReadOnlyList<int[]> calibration = CalibrationText.Draw(Corpus.Open("sdk:train", cancel: cancel), grove.Tokenizer, grove.Model.ContextLength, CalibrationTokens, session.Seed);
        Step($"compress in {QuickstartVariants.All.Count} ways", () =>
        {
            foreach ((string name, Recipe recipe) in QuickstartVariants.All)
            {
                LanguageModel model = Load(folder);
                bool needsText = new RecipePlan(recipe, model.Model).NeedsText;
                models.Add((name, model, new CompressionPipeline(recipe, session.Pool) { Seed = session.Seed }.Run(model.Model, needsText ? calibration : [], cancel: cancel)));
            }
            return true;
        });

        LanguageModel reference = models[0].Model;
        Dictionary<string, Comparison> comparisons = Step("measure each against the base", () => models.Skip(1).ToDictionary(model => model.Name, model =>
            Comparison.Measure(reference.Model, model.Model.Model, text, session.Pool, cancel: cancel)));
        IReadOnlyList<Speed> speeds = Step("time generation", () => SpeedProbe.Measure([.. models.Select(model => model.Model.Model)], Prompt(text, 0).Span, session.Pool,
            new SpeedOptions { Tokens = GeneratedTokens, WarmUp = 1, Rounds = 3 }, cancel: cancel));

        LanguageModel deployed = models.Single(model => model.Name == QuickstartVariants.Deployed.Name).Model;
        (AgreementResult agreement, BlameResult blame) = Step("explain what changed", () => (
            new AgreementStudy { Seed = session.Seed }.Measure(reference.Model, deployed.Model, session.Pool, [.. Enumerable.Range(0, Prompts).Select(i => Prompt(text, i))], cancel: cancel),
            new LayerBlame { MaxTokens = BlameTokens }.Measure(reference.Model, deployed.Model, session.Pool,
                [.. text.Documents.Where(document => document.Ids.Length >= 16).Select(document => document.Ids[..Math.Min(document.Ids.Length, reference.Model.ContextLength)])], cancel: cancel)));

        deployed.Save(Path.Combine(folder, CompressedFolder));
        IReadOnlyList<GgufRounding> rounded = deployed.SaveGguf(Path.Combine(folder, GgufFile));
        List<Artifact> artifacts =
        [
            Describe(folder, BaseFolder, "the fine-tuned base, Hugging Face folder, float16"),
            Describe(folder, CompressedFolder, $"{QuickstartVariants.Deployed.Name}, Hugging Face folder (compressed-tensors)"),
            Describe(folder, GgufFile, $"{QuickstartVariants.Deployed.Name}, for llama.cpp{(rounded.Count == 0 ? ", the same numbers bit for bit" : $", {rounded.Count} matrices rounded")}"),
        ];
        List<Variant> variants = [.. Variants(grove, before, models, comparisons, speeds)];
        string report = Path.Combine(output, ReportFile);
        ReportData data = Report(text, rounds, models, comparisons, agreement, blame, variants, artifacts, before);
        AtomicFile.WriteText(Path.Combine(folder, ReportFile), ReportPage.RenderAsync(data).GetAwaiter().GetResult());
        return new QuickstartResult(steps, variants, report, artifacts);
    }

    ImmutableArray<RoundRecord> FineTune(LanguageModel grove, IReadOnlyList<ClientCorpus> corpora)
    {
        List<IClientChannel> channels = [];
        foreach (ClientCorpus corpus in corpora)
            channels.Add(new LocalChannel(new Client(corpus.Client, TokenWindows.Tokenize(grove.Tokenizer, corpus.Train.Documents), session.Pool, TokenWindows.Tokenize(grove.Tokenizer, corpus.HeldOut!.Documents))));
        return Simulation.Run((DecoderModel)grove.Model, channels, Federated with { Seed = session.Seed }, progress: new RoundLog(session), cancel: cancel);
    }

    IEnumerable<Variant> Variants(LanguageModel grove, PerplexityScores before, List<(string Name, LanguageModel Model, CompressionReport? Report)> models,
        Dictionary<string, Comparison> comparisons, IReadOnlyList<Speed> speeds)
    {
        PerplexityScores own = comparisons.Values.First().Base;
        yield return new Variant { Name = QuickstartVariants.Before, Bytes = models[0].Model.Model.ByteCount, BitsPerWeight = models[0].Model.Model.BitsPerWeight, BitsPerByte = ReportParts.Estimate(before.BitsPerByte) };
        for (int i = 0; i < models.Count; i++)
        {
            Comparison? comparison = comparisons.GetValueOrDefault(models[i].Name);
            yield return new Variant
            {
                Name = models[i].Name,
                Bytes = models[i].Model.Model.ByteCount,
                BitsPerWeight = models[i].Model.Model.BitsPerWeight,
                BitsPerByte = ReportParts.Estimate((comparison?.Compressed ?? own).BitsPerByte),
                Kl = comparison is null ? null : ReportParts.Estimate(comparison.Kl),
                Top1Agreement = comparison is null ? null : ReportParts.Estimate(comparison.Top1Agreement),
                TokensPerSecond = new Estimate(speeds[i].TokensPerSecond, double.NaN, 1),
            };
        }
    }

    ReportData Report(EvaluationText text, ImmutableArray<RoundRecord> rounds, List<(string Name, LanguageModel Model, CompressionReport? Report)> models, Dictionary<string, Comparison> comparisons,
        AgreementResult agreement, BlameResult blame, List<Variant> variants, List<Artifact> artifacts, PerplexityScores before)
    {
        string name = QuickstartVariants.Deployed.Name;
        Comparison comparison = comparisons[name];
        Tokenizer tokenizer = models[0].Model.Tokenizer;
        Variant reference = variants.Single(variant => variant.Name == QuickstartVariants.Base), compressed = variants.Single(variant => variant.Name == name);
        long up = rounds.Sum(round => round.BytesUp), plain = rounds.Sum(round => round.Float32BytesUp);
        return new ReportData
        {
            Title = "Coppice quickstart",
            Summary = string.Create(CultureInfo.InvariantCulture,
                $"A language model of {models[0].Model.Model.ParameterCount:N0} parameters was fine-tuned by {rounds[0].Clients.Length} clients that shared no text: held-out bits a byte went from {before.BitsPerByte.Value:F3} to {reference.BitsPerByte!.Value.Value:F3}, "
                + $"and {up:N0} bytes travelled up, {100.0 * up / plain:F0}% of what float32 would take. Pruned by 30% and quantized to 4 bits ({name}), it has {compressed.Bytes:N0} bytes instead of {reference.Bytes:N0} and {compressed.BitsPerByte!.Value.Value:F3} bits a byte; "
                + $"its next-token distribution moved by {comparison.Kl.Value:F4} ± {comparison.Kl.StandardError:F4} nats a token (KL), and it prefers the same token as the base {100 * comparison.Top1Agreement.Value:F1}% of the time."),
            Variants = variants,
            Rounds = [.. rounds.Select(round => new FederationRound(round.Round, round.Clients.Length, round.Dropped.Length, round.BytesUp, round.BytesDown, round.LossBefore))],
            Layers = ReportParts.Layers(models.Single(model => model.Name == name).Report!),
            Texts = [ReportParts.Compared(text, comparison, tokenizer, name)],
            Prompts = [.. agreement.Pairs.Select(pair => ReportParts.Explained(pair, tokenizer, name))],
            Agreement = agreement,
            Blame = blame,
            Scores = [.. comparison.Base.Scores.Select(score => new VariantScore(QuickstartVariants.Base, score)), .. comparisons.SelectMany(pair => pair.Value.Compressed.Scores.Concat(pair.Value.Scores).Select(score => new VariantScore(pair.Key, score)))],
            Artifacts = artifacts,
            Run = new RunFacts([$"coppice quickstart --output {output} --seed {session.Seed} --threads {session.Pool.Threads}"],
            [
                ("Machine", SystemInfo.Current().ToString()),
                ("Seed", session.Seed.ToString(CultureInfo.InvariantCulture)),
                ("Federation", $"{Federated.Rounds} rounds, {Federated.LocalSteps} local steps of {Federated.Training.BatchSize} x {Federated.Training.ContextLength} tokens, updates {Federated.Codec.Name}, downloads {Federated.Download}"),
                ("Calibration", $"{CalibrationTokens:N0} tokens of sdk:train"),
                ("Peak memory", $"{MemoryProbe.PeakBytes() / 1e6:F0} MB"),
                .. QuickstartVariants.All.Select(variant => ($"Recipe of {variant.Name}", variant.Recipe.ToYaml())),
                .. steps.Select(step => ($"Time to {step.Name}", $"{step.Seconds:F1} s")),
            ]),
        };
    }

    static LanguageModel Load(string folder) => LanguageModel.Load(Path.Combine(folder, BaseFolder));

    // The i-th document that is long enough, cut short.
    static ReadOnlyMemory<int> Prompt(EvaluationText text, int i) => text.Documents.Where(document => document.Ids.Length >= PromptTokens).ElementAt(i).Ids[..PromptTokens];

    Artifact Describe(string folder, string name, string description) => new(Path.Combine(output, name), description, MemoryProbe.DiskBytes(Path.Combine(folder, name)));

    T Step<T>(string name, Func<T> work)
    {
        cancel.ThrowIfCancellationRequested();
        Say($"{steps.Count + 1}  {name} ...");
        long started = Stopwatch.GetTimestamp();
        T result = work();
        steps.Add((name, Stopwatch.GetElapsedTime(started).TotalSeconds));
        Say($"   {steps[^1].Seconds:F1} s");
        return result;
    }

    void Say(FormattableString line) => session.Say(line.ToString(CultureInfo.InvariantCulture));
}

using System.CommandLine;
using System.Globalization;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using Coppice.Training.Sparse;

namespace Coppice.Cli;

/// <summary>coppice train: a model from scratch, or a given one further.</summary>
static class TrainCommand
{
    static readonly TrainingOptions Defaults = new();

    static readonly Argument<string?> Start = new("model") { Description = "The model to train further; none: a new one of --width, --layers ...", Arity = ArgumentArity.ZeroOrOne };
    static readonly Option<string> Data = new("--data") { Description = $"Text: {TextArgument.Specs}", HelpName = "TEXT", Required = true };
    static readonly Option<string?> HeldOut = Options.Text("--held-out", "TEXT", "Text to measure on while training; sdk:valid where the text is sdk");
    static readonly Option<string> Output = new("--output", "-o") { Description = "The folder to write", HelpName = "OUT", Required = true };
    static readonly Option<string?> TokenizerPath = Options.Text("--tokenizer", "PATH", "A tokenizer for a new model; none: one is trained on the text");
    static readonly Option<int> Vocabulary = Options.Integer("--vocabulary", "Tokens of a new tokenizer", value: 4096, least: 1);
    static readonly Option<int> Width = Options.Integer("--width", "Width of a new model", value: 256, least: 1);
    static readonly Option<int> Hidden = Options.Integer("--hidden", "Feed-forward width of a new model", value: 768, least: 1);
    static readonly Option<int> Layers = Options.Integer("--layers", "Blocks of a new model", value: 6, least: 1);
    static readonly Option<int> Heads = Options.Integer("--heads", "Query heads of a new model", value: 4, least: 1);
    static readonly Option<int?> KeyValueHeads = Options.OptionalInteger("--key-value-heads", "Key-value heads of a new model; as many as query heads by default");
    static readonly Option<int> Context = Options.Integer("--context", "Tokens in a training sequence, and the context of a new model", Defaults.ContextLength, least: 1);
    static readonly Option<int> Steps = Options.Integer("--steps", "Optimizer steps", Defaults.Steps, least: 1);
    static readonly Option<int> BatchSize = Options.Integer("--batch", "Sequences in a batch", Defaults.BatchSize, least: 1);
    static readonly Option<int> Accumulation = Options.Integer("--accumulate", "Batches in a step", Defaults.Accumulation, least: 1);
    static readonly Option<int> Warmup = Options.Integer("--warmup", "Steps in which the learning rate rises", Defaults.WarmupSteps);
    static readonly Option<int> CheckpointEvery = Options.Integer("--checkpoint-every", "Steps between checkpoints; 0: none are kept", Defaults.CheckpointEvery);
    static readonly Option<int> MeasureEvery = Options.Integer("--measure-every", "Steps between measurements on held-out text; 0: at the end only", value: 0);
    static readonly Option<string?> Keep = Options.Choice("--keep", "What a step keeps for its way back: all (the default), the same as bfloat16 where that is exact enough, or blocks' inputs alone, which costs about a fifth more time", "all", "bf16", "inputs");
    static readonly Option<string?> TeacherModel = Options.Text("--teacher", "BASE", "A model with MODEL's tokenizer whose outputs count beside the text: the model that MODEL was made from, or a larger one");
    static readonly Option<double> Temperature = Options.Number("--temperature", "What both models' logits are divided by where they are compared", Defaults.Distillation.Temperature);
    static readonly Option<double> SoftShare = Options.Number("--soft", "The teacher's share of the loss, 0 to 1", Defaults.Distillation.Share);
    static readonly Option<double> Rate = Options.Number("--rate", "Highest learning rate", Defaults.LearningRate);
    static readonly Option<double> Decay = Options.Number("--decay", "AdamW's weight decay", Defaults.WeightDecay);
    static readonly Option<double> Clip = Options.Number("--clip", "Longest gradient; 0: any", Defaults.GradientClip);

    public static Command Create()
    {
        Command command = new("train", "Trains a model from scratch, or a given one further; interrupted, the same command goes on where it stopped")
        {
            Start, Data, HeldOut, Output, TokenizerPath, Vocabulary, Width, Hidden, Layers, Heads, KeyValueHeads, Context, Steps, BatchSize, Accumulation,
            Warmup, CheckpointEvery, MeasureEvery, Keep, TeacherModel, Temperature, SoftShare, Rate, Decay, Clip, TextArgument.Documents, TextArgument.Sdk,
        };
        foreach (Option option in (Option[])[.. TrainPruning.All, .. TrainAdapters.All])
            command.Options.Add(option);
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string output = Path.TrimEndingDirectorySeparator(parsed.GetRequiredValue(Output));
        ModelArgument.CheckTarget(parsed.GetValue(Start), output);
        SparseTraining? pruning = TrainPruning.Of(parsed);
        TrainAdapters.Check(parsed, parsed.GetValue(Start), output);
        Corpus corpus = TextArgument.Open(parsed.GetRequiredValue(Data), parsed, cancel);
        string? heldOutSpec = parsed.GetValue(HeldOut) ?? (corpus.Name is "sdk" or "sdk:train" ? "sdk:valid" : null);
        Corpus? heldOut = heldOutSpec is null ? null : TextArgument.Open(heldOutSpec, parsed, cancel);

        TrainingOptions options = new()
        {
            Steps = parsed.GetValue(Steps),
            BatchSize = parsed.GetValue(BatchSize),
            Accumulation = parsed.GetValue(Accumulation),
            ContextLength = parsed.GetValue(Context),
            LearningRate = parsed.GetValue(Rate),
            WarmupSteps = parsed.GetValue(Warmup),
            WeightDecay = parsed.GetValue(Decay),
            GradientClip = parsed.GetValue(Clip),
            CheckpointEvery = parsed.GetValue(CheckpointEvery),
            ValidateEvery = parsed.GetValue(MeasureEvery),
            Activations = parsed.GetValue(Keep) switch
            {
                "bf16" => KeptActivations.BFloat16,
                "inputs" => KeptActivations.BlockInputs,
                _ => KeptActivations.All,
            },
            Zeros = TrainPruning.ZerosOf(parsed),
            Pruning = pruning,
            Distillation = new DistillationOptions { Temperature = parsed.GetValue(Temperature), Share = parsed.GetValue(SoftShare) },
            Seed = session.Seed,
        };
        options.Validate();
        session.Say($"text: {corpus.Documents.Count:N0} documents, {corpus.ByteCount:N0} bytes, sha256 {corpus.Hash}");
        LanguageModel language = parsed.GetValue(Start) is { } start ? ModelArgument.LoadDecoder(start) : Fresh(parsed, corpus, options, cancel);
        TokenWindows windows = new(TokenWindows.Tokenize(language.Tokenizer, corpus.Documents), options.ContextLength, options.Seed);
        TokenWindows? measured = heldOut is null ? null : new(TokenWindows.Tokenize(language.Tokenizer, heldOut.Documents), options.ContextLength, seed: 0);
        double bytesPerToken = heldOut is null ? 0 : (double)heldOut.ByteCount / measured!.TokenCount;
        session.Say($"model: {language.Model.ParameterCount:N0} parameters; text: {windows.TokenCount:N0} tokens; {(double)options.Steps * options.TokensPerStep / windows.TokenCount:F1} epochs in {options.Steps:N0} steps");

        (int pruned, double zeros) = Pruned.Count(language.Model, options.Zeros);
        if (pruned > 0)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"pruned: {pruned} matrices, {100 * zeros:F1} % of them zeros, which stay 0; --zeros train trains them too"));

        if (pruning is not null)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"pruning: {TrainPruning.Name(parsed)}, until {100 * pruning.Sparsity:0.##} % of each matrix is 0"));
        TrainAdapters.Attach(parsed, language, session);
        LanguageModel? teacher = parsed.GetValue(TeacherModel) is { } name ? ModelArgument.LoadDecoder(name) : null;
        if (teacher is not null && teacher.Tokenizer.Hash != language.Tokenizer.Hash)
            throw new CoppiceException($"{teacher.Source}: has another tokenizer than {language.Source}; a teacher must read the same tokens");

        string checkpoint = output + ".checkpoint.safetensors";
        TrainingLog log = Train(session, language.Model, windows, measured, options, checkpoint, output + ".training.jsonl", bytesPerToken, teacher?.Model, cancel);
        TrainAdapters.Merge(parsed, language, options, session);
        language.Save(output, DType.F16, alongside: folder => File.Copy(log.Path, Path.Combine(folder, "training.jsonl")));
        File.Delete(checkpoint);
        File.Delete(log.Path);

        session.Say($"wrote {output}");
        session.Document(json =>
        {
            json.WriteNumber("steps", options.Steps);
            json.WriteNumber("tokens", (long)options.Steps * options.TokensPerStep);
            json.WriteNumber("loss", log.Last!.Step.Loss);
            if (log.Last.HeldOutLoss is { } loss)
                json.WriteNumber("heldOutLoss", loss);
            json.WriteNumber("tokensPerSecond", log.Last.TokensPerSecond);
            json.WriteString("artifact", output);
        });
        return ExitCode.Done;
    }

    static TrainingLog Train(Session session, Model model, TokenWindows windows, TokenWindows? heldOut, TrainingOptions options, string checkpoint, string logPath, double bytesPerToken, Model? teacher, CancellationToken cancel)
    {
        try
        {
            return session.Track("training", ticks =>
            {
                TrainingLog log = new(session, ticks, logPath, bytesPerToken);
                TrainingRun.Train(model, windows, heldOut, options, session.Pool, checkpoint, log, teacher, cancel);
                return log;
            });
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException($"interrupted; the same command goes on from {checkpoint}", error);
        }
    }

    static LanguageModel Fresh(ParseResult parsed, Corpus corpus, TrainingOptions options, CancellationToken cancel)
    {
        Tokenizer tokenizer = parsed.GetValue(TokenizerPath) is { } path
            ? Tokenizer.Load(path)
            : BpeTrainer.Train(corpus.Documents.Select(document => document.Text), new BpeTraining { VocabularySize = parsed.GetValue(Vocabulary) }, cancel: cancel);
        int heads = parsed.GetValue(Heads), width = parsed.GetValue(Width);
        if (heads < 1 || width % heads != 0)
            throw new MisuseException($"--width {width} is not a multiple of --heads {heads}");
        DecoderConfig config = new()
        {
            HiddenSize = width,
            IntermediateSize = parsed.GetValue(Hidden),
            LayerCount = parsed.GetValue(Layers),
            HeadCount = heads,
            KeyValueHeadCount = parsed.GetValue(KeyValueHeads) ?? heads,
            HeadWidth = width / heads,
            VocabularySize = tokenizer.Count,
            ContextLength = options.ContextLength,
        };
        return new LanguageModel(Initialization.Random(config, options.Seed), tokenizer, "new");
    }
}

using System.Collections.Immutable;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Robust;
using Coppice.Federation.Secure;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Sparse;

namespace Coppice.Federation;

/// <summary>How the model travels from server to client. Both ways are counted.</summary>
public enum DownloadFormat
{
    /// <summary>4 bytes a number, nothing lost.</summary>
    Float32,

    /// <summary>2 bytes a number: clients start from the rounded model, the server keeps the exact one. Deltas are added to the exact one.</summary>
    Float16,
}

/// <summary>A federated run.</summary>
public sealed record FederatedOptions
{
    /// <summary>Rounds.</summary>
    public int Rounds { get; init; } = 10;

    /// <summary>Clients drawn a round; 0 takes all.</summary>
    public int ClientsPerRound { get; init; }

    /// <summary>Above 0, each client takes part in a round with this probability, independently of the others, instead of a fixed number: what privacy amplification assumes.</summary>
    public double Participation { get; init; }

    /// <summary>Optimizer steps of a client in a round.</summary>
    public int LocalSteps { get; init; } = 10;

    /// <summary>Chooses and averages.</summary>
    public IStrategy Strategy { get; init; } = new FedAvg();

    /// <summary>How updates are encoded.</summary>
    public ICodec Codec { get; init; } = new Int8Codec();

    /// <summary>Makes one of the round's updates, some of which may be anything; null averages.</summary>
    public IRobustRule? Robust { get; init; }

    /// <summary>Differential privacy of clients; null for none.</summary>
    public PrivacyOptions? Privacy { get; init; }

    /// <summary>Secure aggregation; null lets the server see every update.</summary>
    public SecureOptions? Secure { get; init; }

    /// <summary>Tensors that each client keeps to itself: names, or beginnings of names with a * behind. Averaged are the others.</summary>
    public ImmutableArray<string> Personal { get; init; } = [];

    /// <summary>Clients that train narrower parts of the model; null where all train all of it.</summary>
    public ClientWidths? Widths { get; init; }

    /// <summary>Whether clients keep nothing from round to round: each begins with a new optimizer, and its windows are in an order of the round's. What clients are that are asked once or twice in a run.</summary>
    public bool FreshClients { get; init; }

    /// <summary>How the model is sent to clients.</summary>
    public DownloadFormat Download { get; init; } = DownloadFormat.Float32;

    /// <summary>The probability that a client drawn for a round never answers (simulation).</summary>
    public double Dropout { get; init; }

    /// <summary>Seeds the draw of clients, dropout and stochastic rounding.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Windows over which a client measures its loss before and after.</summary>
    public int EvaluationWindows { get; init; } = 8;

    /// <summary>Local training. The schedule runs over Rounds x LocalSteps steps and <see cref="TrainingOptions.Steps"/> is not used; the default is a constant rate.</summary>
    public TrainingOptions Training { get; init; } = new() { LearningRate = 3e-4, WarmupSteps = 0, FinalRateShare = 1, BatchSize = 8 };

    /// <summary>A model whose outputs count in clients' training as <see cref="TrainingOptions.Distillation"/> says; it goes to them with every task. Null for none.</summary>
    public DecoderModel? Teacher { get; init; }

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Check(Rounds >= 1, "rounds", Rounds, "1 or more");
        Check(ClientsPerRound >= 0, "clients per round", ClientsPerRound, "0 (all) or more");
        Check(LocalSteps >= 1, "local steps", LocalSteps, "1 or more");
        Check((long)Rounds * LocalSteps <= int.MaxValue, "rounds times local steps", (double)Rounds * LocalSteps, $"at most {int.MaxValue:N0}");
        Check(Dropout is >= 0 and < 1, "dropout", Dropout, "0 to 1, exclusive");
        Check(EvaluationWindows >= 1, "evaluation windows", EvaluationWindows, "1 or more");
        // With secure aggregation deltas are sent whatever the codec.
        if (Download != DownloadFormat.Float32 && Secure is null)
            CodecRules.Check(Codec, CodecUse.RoundedDownload);
        Check(Participation is >= 0 and <= 1, "participation", Participation, "0 (a fixed number) to 1");
        Training.Validate();
        Privacy?.Validate();
        if (Participation > 0 && ClientsPerRound > 0)
            throw new CoppiceException($"Federation: {ClientsPerRound} clients a round and each with probability {Participation}; wanted one of the two");
        ValidateMix();

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException($"Federation: {name} is {value}, wanted {wanted}");
        }
    }

    /// <summary>The same, and for a model of these sizes.</summary>
    public void Validate(DecoderConfig config)
    {
        Validate();
        if (Training.ContextLength > config.ContextLength)
            throw new CoppiceException($"Federation: context length is {Training.ContextLength}, the model's context holds {config.ContextLength}");
    }

    // Parts that are sound alone and not together.
    void ValidateMix()
    {
        if (FreshClients && (Codec.Traits.HasFlag(CodecTraits.Stateful) || Strategy.UsesControl || !Personal.IsEmpty))
            throw new CoppiceException($"Federation: clients that keep nothing, and {(!Personal.IsEmpty ? "personal tensors" : Strategy.UsesControl ? $"strategy '{Strategy.Name}'" : $"codec '{Codec.Name}'")}, for which they would have to; wanted one of the two");
        if (Training.Pruning is not null)
            ValidatePruning(Training.Pruning);
        if (Training.Quantization is { Symmetric: false })
            throw new CoppiceException("Federation: integers with zero points, which each client would place by its own weights; wanted symmetric ones");
        if ((Training.Quantization is not null || Teacher is not null) && Strategy.UsesControl)
            throw new CoppiceException($"Federation: strategy '{Strategy.Name}' corrects plain gradients; wanted neither integers in training nor a teacher with it");
        if (Training.Quantization is not null && (Strategy is FedBuff or MaskVote))
            throw new CoppiceException($"Federation: integers in training have steps beside the model's numbers, which strategy '{Strategy.Name}' does not know; wanted one of the two");
        CodecRules.Check(Codec, Strategy is MaskVote ? CodecUse.Voting : CodecUse.Averaging);
        if (Secure is not null)
            ValidateSecure(Secure);
        if (Widths is not null)
            ValidateWidths();
        if (Codec is SharedProductCodec && (Robust is not null || Strategy is FedBuff))
            throw new CoppiceException($"Federation: a codebook that clients share, and {(Robust is not null ? $"robust rule '{Robust.Name}', which it would get round" : $"strategy '{Strategy.Name}'")}; wanted one of the two");
        if (Privacy is not null)
            CodecRules.Check(Codec, CodecUse.Clipping);
        if (Privacy is { Place: PrivacyPlace.Distributed } && Secure is null)
            throw new CoppiceException("Federation: noise that clients share is little in each of their updates, which only secure aggregation hides; wanted it with it, or central or local noise");
        if (Privacy is { Place: PrivacyPlace.Central } && Robust is not null)
            throw new CoppiceException($"Federation: robust rule '{Robust.Name}' and central noise, which is measured for a sum; wanted one of the two, or local noise");
        if (Robust is not null && Codec.Kind == UpdateKind.Mask)
            throw new CoppiceException($"Federation: robust rule '{Robust.Name}' is for deltas, and codec '{Codec.Name}' sends votes");
        if (Strategy.UsesControl && Training.Optimizer != OptimizerKind.Sgd)
            throw new CoppiceException($"Federation: strategy '{Strategy.Name}' takes a client's mean gradient from its plain gradient steps, and local training is {Training.Optimizer}; wanted Sgd");
        if (Strategy.UsesControl && Privacy is { Place: PrivacyPlace.Local })
            throw new CoppiceException($"Federation: strategy '{Strategy.Name}' would have clients correct their gradients by their own noise; wanted central noise");
        if (Strategy is FedBuff && (Privacy is not null || Robust is not null || Participation > 0))
            throw new CoppiceException($"Federation: strategy '{Strategy.Name}' takes what comes first, so that no round has a draw or a number of clients; wanted neither privacy nor a robust rule nor participation with it");
    }

    // All clients have one mask, which the server changes as they vote.
    void ValidatePruning(SparseTraining pruning)
    {
        if (pruning is not (RigL or GradualMagnitude))
            throw new CoppiceException($"Federation: clients that prune while they train ({pruning.Name}) would each prune other numbers; wanted rigl or gradual, of which clients vote");
        pruning.Validate(Rounds * LocalSteps);
        string? other = Secure is not null ? "secure aggregation"
            : Robust is not null ? $"robust rule '{Robust.Name}'"
            : Privacy is not null ? "privacy, which does not cover votes"
            : Strategy.UsesControl || Strategy is FedBuff or MaskVote ? $"strategy '{Strategy.Name}'"
            : Codec is PowerSgdCodec ? $"codec '{Codec.Name}', which factors whole matrices"
            : Widths is not null ? "clients of different widths"
            : Participation > 0 ? "participation by chance, with which a round may have no vote"
            : !Personal.IsEmpty ? "personal tensors" : null;
        if (other is not null)
            throw new CoppiceException($"Federation: masks that clients vote on, and {other}; wanted one of the two");
    }

    // Every number has clients of its own, and some of them none.
    void ValidateWidths()
    {
        string? other = Secure is not null ? "secure aggregation, which adds up updates of one length"
            : Robust is not null ? $"robust rule '{Robust.Name}', which compares whole updates"
            : Privacy is { Place: PrivacyPlace.Central } ? "central noise, which is measured for a sum over all clients"
            : Strategy.UsesControl || Strategy is FedBuff or MaskVote ? $"strategy '{Strategy.Name}'"
            : Training.Quantization is not null || Teacher is not null ? "integers in training or a teacher" : null;
        if (other is not null)
            throw new CoppiceException($"Federation: clients of different widths, and {other}; wanted one of the two");
    }

    // The server has a sum of whole numbers, and nothing of one client.
    void ValidateSecure(SecureOptions secure)
    {
        secure.With(Privacy).Validate();
        CodecRules.Check(Codec, CodecUse.SecureAggregation);
        if (Robust is not null)
            throw new CoppiceException($"Federation: robust rule '{Robust.Name}' looks at every single update, and with secure aggregation there is nothing but their sum; wanted one of the two");
        if (Privacy is { Place: PrivacyPlace.Central })
            throw new CoppiceException("Federation: central noise is measured for updates that the server itself shortens, and with secure aggregation it sees none; wanted noise that clients share (distributed)");
        if (Privacy is { Place: PrivacyPlace.Local })
            throw new CoppiceException("Federation: a client's own noise makes its update far longer than the norm that secure aggregation holds it to, and would be cut off again; wanted noise that clients share (distributed)");
        if (Strategy.UsesControl)
            throw new CoppiceException($"Federation: strategy '{Strategy.Name}' has clients follow their own update as it is decoded, and with secure aggregation none is decoded alone; wanted another strategy");
        if (Strategy is FedBuff)
            throw new CoppiceException($"Federation: strategy '{Strategy.Name}' takes updates as they come, and masks go off when a group of clients is complete; wanted another strategy");
    }

    /// <summary>What a task asks of a client besides training.</summary>
    internal LocalRules Rules => new(Strategy.Proximal, Strategy.UsesControl, LocalNoise?.Clip ?? 0, LocalNoise?.Noise ?? 0, [.. Personal], FreshClients);

    /// <summary>Local learning rates of a round's steps, added up.</summary>
    internal double RateSum(int round)
    {
        TrainingOptions whole = WholeTraining;
        return Enumerable.Range((round - 1) * LocalSteps, LocalSteps).Sum(whole.RateAt);
    }

    /// <summary>Local training with the whole run's steps.</summary>
    internal TrainingOptions WholeTraining => Training with { Steps = Rounds * LocalSteps };

    PrivacyOptions? LocalNoise => Privacy is { Place: PrivacyPlace.Local } ? Privacy : null;

    internal DType DownloadType => Download == DownloadFormat.Float16 ? DType.F16 : DType.F32;
}

using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Training;

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

    /// <summary>Optimizer steps of a client in a round.</summary>
    public int LocalSteps { get; init; } = 10;

    /// <summary>Chooses and averages.</summary>
    public IStrategy Strategy { get; init; } = new FedAvg();

    /// <summary>How updates are encoded.</summary>
    public ICodec Codec { get; init; } = new Int8Codec();

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

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Check(Rounds >= 1, "rounds", Rounds, "1 or more");
        Check(ClientsPerRound >= 0, "clients per round", ClientsPerRound, "0 (all) or more");
        Check(LocalSteps >= 1, "local steps", LocalSteps, "1 or more");
        Check((long)Rounds * LocalSteps <= int.MaxValue, "rounds times local steps", (double)Rounds * LocalSteps, $"at most {int.MaxValue:N0}");
        Check(Dropout is >= 0 and < 1, "dropout", Dropout, "0 to 1, exclusive");
        Check(EvaluationWindows >= 1, "evaluation windows", EvaluationWindows, "1 or more");
        if (Codec.Kind == UpdateKind.Weights && Download != DownloadFormat.Float32)
            throw new CoppiceException($"Federation: codec '{Codec.Name}' sends weights, which would carry the rounding of a {Download} download into the model; wanted a codec of deltas or download Float32");
        Training.Validate();

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException($"Federation: {name} is {value}, wanted {wanted}");
        }
    }

    internal DType DownloadType => Download == DownloadFormat.Float16 ? DType.F16 : DType.F32;
}

using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training.Quantized;
using Coppice.Training.Sparse;

namespace Coppice.Training;

/// <summary>How a model is trained. The defaults suit a small model from scratch.</summary>
public sealed record TrainingOptions
{
    const int MostTokensPerStep = 1 << 24;

    /// <summary>Optimizer steps.</summary>
    public int Steps { get; init; } = 1000;

    /// <summary>Sequences in a forward pass.</summary>
    public int BatchSize { get; init; } = 16;

    /// <summary>Forward passes whose gradients are added up before a step.</summary>
    public int Accumulation { get; init; } = 1;

    /// <summary>Tokens in a sequence.</summary>
    public int ContextLength { get; init; } = 256;

    /// <summary>The highest learning rate, reached at the end of the warm-up.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>What the cosine falls to, as a share of <see cref="LearningRate"/>.</summary>
    public double FinalRateShare { get; init; } = 0.1;

    /// <summary>Steps in which the rate rises from zero in a line.</summary>
    public int WarmupSteps { get; init; } = 100;

    /// <summary>AdamW's decay a step, times the rate; matrices only.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>AdamW's memory of the gradient.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's memory of the squared gradient.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Gradients longer than this (2-norm over all parameters) are shortened to it; 0 leaves them.</summary>
    public double GradientClip { get; init; } = 1;

    /// <summary>What moves the parameters.</summary>
    public OptimizerKind Optimizer { get; init; } = OptimizerKind.AdamW;

    /// <summary>What is kept for the way back: memory against time. Blocks' inputs alone train to the same numbers, bit for bit; bfloat16 does so within the gradient's own noise.</summary>
    public KeptActivations Activations { get; init; }

    /// <summary>Which zeros of the model stay 0.</summary>
    public ZeroHandling Zeros { get; init; }

    /// <summary>How the run prunes while it trains; null does not.</summary>
    public SparseTraining? Pruning { get; init; }

    /// <summary>How matrices train as integers; null leaves them floats. Not with <see cref="Pruning"/>: what is pruned before stays 0.</summary>
    public QuantizedTraining? Quantization { get; init; }

    /// <summary>Above 0, half of the loss is on embeddings that are shifted by this, over their root mean square, to where the loss grows.</summary>
    public double Adversarial { get; init; }

    /// <summary>Whether adapters' inputs' side, A, stays as it is and B alone trains.</summary>
    public bool FreezesAdapterInputs { get; init; }

    /// <summary>What a teacher's outputs count, where there is a teacher.</summary>
    public DistillationOptions Distillation { get; init; } = new();

    /// <summary>Seeds initial weights and the order of the data.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Steps between checkpoints; 0 keeps none.</summary>
    public int CheckpointEvery { get; init; } = 100;

    /// <summary>Steps between measurements on held-out text; 0 measures at the end only.</summary>
    public int ValidateEvery { get; init; }

    /// <summary>Tokens of a step.</summary>
    public int TokensPerStep => BatchSize * Accumulation * ContextLength;

    /// <summary>The learning rate of a step, 0-based: a line up, then a cosine down (Loshchilov and Hutter 2017); in rounds of pruning, each round anew.</summary>
    public double RateAt(int step)
    {
        int steps = Steps;
        if (Pruning is IterativePruning rounds)
            (_, step, steps) = rounds.Place(step, Steps);
        if (step < WarmupSteps)
            return LearningRate * (step + 1) / WarmupSteps;
        double progress = (double)(step - WarmupSteps) / Math.Max(1, steps - WarmupSteps);
        double cosine = 0.5 * (1 + Math.Cos(Math.PI * Math.Min(1, progress)));
        return LearningRate * (FinalRateShare + (1 - FinalRateShare) * cosine);
    }

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Check(Steps >= 1, "steps", Steps, "1 or more");
        Check(BatchSize >= 1, "batch size", BatchSize, "1 or more");
        Check(Accumulation >= 1, "accumulation", Accumulation, "1 or more");
        Check(ContextLength >= 1, "context length", ContextLength, "1 or more");
        double tokens = (double)BatchSize * Accumulation * ContextLength;
        Check(tokens <= MostTokensPerStep, "tokens a step", tokens, $"at most {MostTokensPerStep:N0} (batch size x accumulation x context length)");
        Check(LearningRate > 0 && double.IsFinite(LearningRate), "learning rate", LearningRate, "above 0");
        Check(FinalRateShare is >= 0 and <= 1, "final rate share", FinalRateShare, "0 to 1");
        Check(WarmupSteps >= 0, "warm-up steps", WarmupSteps, "0 or more");
        Check(WeightDecay >= 0, "weight decay", WeightDecay, "0 or more");
        Check(Beta1 is >= 0 and < 1, "beta1", Beta1, "0 to 1, exclusive");
        Check(Beta2 is >= 0 and < 1, "beta2", Beta2, "0 to 1, exclusive");
        Check(Distillation.Temperature > 0 && double.IsFinite(Distillation.Temperature), "temperature", Distillation.Temperature, "above 0");
        Check(Distillation.Share is >= 0 and <= 1, "soft share", Distillation.Share, "0 to 1");
        Pruning?.Validate(Steps);
        Quantization?.Validate();
        Check(Adversarial >= 0 && double.IsFinite(Adversarial), "adversarial", Adversarial, "0 or more");
        if (Pruning is not null && Quantization is not null)
            throw new CoppiceException("Training: masks that move and integers at once; prune first, and what is 0 stays 0");
        Check(GradientClip >= 0, "gradient clip", GradientClip, "0 or more");

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException($"Training: {name} is {value}, wanted {wanted}");
        }
    }
}

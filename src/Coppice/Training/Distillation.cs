using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Training;

/// <summary>How a base model's outputs take part in the loss: (1 - share) cross-entropy + share T^2 KL(base || model), both softened by the temperature T (Hinton et al. 2015).</summary>
public sealed record DistillationOptions
{
    /// <summary>What logits are divided by before their softmax; above 0.</summary>
    public double Temperature { get; init; } = 2;

    /// <summary>The soft loss's share of the whole, 0 to 1.</summary>
    public double Share { get; init; } = 1;
}

/// <summary>A model that is only asked, and how much its answers count.</summary>
sealed class Teacher
{
    readonly Model model;
    readonly ForwardContext context;
    readonly SoftTargetsSettings settings;

    public Teacher(Model model, Model student, TrainingOptions options, WorkerPool pool)
    {
        if (model.VocabularySize != student.VocabularySize)
            throw new CoppiceException($"Training: the teacher has {model.VocabularySize:N0} tokens and the model {student.VocabularySize:N0}; soft targets need one vocabulary");
        if (options.ContextLength > model.ContextLength)
            throw new CoppiceException($"Training: sequences of {options.ContextLength} tokens, the teacher's context holds {model.ContextLength}");
        (this.model, context) = (model, new ForwardContext(pool));
        settings = new SoftTargetsSettings((float)options.Distillation.Temperature, (float)options.Distillation.Share);
    }

    /// <summary>The loss of the student's logits on a batch, over <paramref name="divisor"/>.</summary>
    public Tensor Loss(ForwardContext student, Tensor logits, Batch batch, ReadOnlyMemory<int> targets, double divisor)
    {
        Tensor loss = Tensors.SoftTargets.Apply(student, logits, model.Forward(batch, context), targets, settings, divisor);
        context.Reset();
        return loss;
    }
}

using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training.Quantized;
using Coppice.Training.Sparse;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training;

/// <summary>What one optimizer step did: mean nats a token before it (with a teacher: of the mixed loss), the gradient's 2-norm before clipping, the rate.</summary>
public readonly record struct StepResult(int Step, double Loss, double GradientNorm, double Rate);

/// <summary>Takes optimizer steps on a model. A step depends on the parameters, the optimizer's state, the text, the seed and its number, and on nothing else.</summary>
public sealed class Trainer
{
    readonly Model model;
    readonly TokenWindows windows;
    readonly TrainingOptions options;
    readonly ForwardContext context;
    readonly Batch batch = new();
    readonly int[] targets;
    readonly Teacher? teacher;
    readonly Pruner? pruner;
    readonly FakeQuantization? quantization;
    readonly EmbeddingAttack? attack;

    /// <summary>Makes the model's parameters trainable, or its adapters alone where it has some, and stands before the first step.</summary>
    /// <param name="model">What trains.</param>
    /// <param name="windows">On what.</param>
    /// <param name="options">How.</param>
    /// <param name="pool">The threads.</param>
    /// <param name="teacher">A model of the same vocabulary whose outputs count as <see cref="TrainingOptions.Distillation"/> says; without one the text alone counts.</param>
    /// <param name="masks">By tensor name, of its shape: one where a number trains, zero where it is 0 and stays so; tensors without one are as <see cref="TrainingOptions.Zeros"/> says.</param>
    public Trainer(Model model, TokenWindows windows, TrainingOptions options, WorkerPool pool, Model? teacher = null, IReadOnlyDictionary<string, Tensor>? masks = null)
    {
        options.Validate();
        if (options.ContextLength > model.ContextLength)
            throw new CoppiceException($"Training: sequences of {options.ContextLength} tokens, the model's context holds {model.ContextLength}");
        (this.model, this.windows, this.options) = (model, windows, options);
        context = new ForwardContext(pool, new Tape()) { Keeps = options.Activations };
        targets = new int[options.BatchSize * options.ContextLength];
        this.teacher = teacher is null ? null : new Teacher(teacher, model, options, pool);
        bool adapts = Lora.Adapted(model).Count > 0;
        if (options.Adversarial > 0)
            attack = new EmbeddingAttack(targets.Length, model.Width, options.Adversarial);
        if (adapts && options.Quantization is not null)
            throw new CoppiceException("Training: adapters leave a model's matrices as they are, so that none can be rounded on the way; merge them before");
        if (adapts && options.Pruning is not null)
            throw new CoppiceException("Training: adapters leave a model's matrices as they are, so that none can be pruned on the way; prune before or after");
        IReadOnlyList<Parameter> parameters = adapts ? Lora.Parameters(model, options.FreezesAdapterInputs) : Parameter.Of(model, options.Zeros);
        if (masks is not null)
            parameters = [.. parameters.Select(parameter => masks.TryGetValue(parameter.Name, out Tensor? mask) ? parameter with { Mask = mask } : parameter)];
        if (options.Quantization is { } integers)
        {
            quantization = new FakeQuantization(model, parameters, integers, options.Seed);
            parameters = [.. parameters, .. quantization.Parameters];
        }
        if (options.Pruning is null)
        {
            Optimizer = Optimizer.Create(parameters, options);
            return;
        }
        (parameters, IReadOnlyList<int> pruned) = Pruner.Mask(model, parameters, options.Pruning);
        Optimizer = Optimizer.Create(parameters, options);
        pruner = options.Pruning.Create(Optimizer, pruned, options);
    }

    /// <summary>What moves the parameters; its step count is the trainer's place.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>Changes a step's gradients before they are clipped; null leaves them as the loss has them.</summary>
    internal Action<IReadOnlyList<Parameter>>? Correction { get; init; }

    /// <summary>What a checkpoint keeps besides the step: parameters, moments, masks, and what decides the masks.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> State =>
    [
        .. Optimizer.Parameters.Select(parameter => (parameter.Name, parameter.Tensor)), .. Optimizer.State,
        .. Optimizer.Parameters.Where(parameter => parameter.Mask is not null).Select(parameter => ("mask." + parameter.Name, parameter.Mask!)), .. pruner?.State ?? [],
    ];

    /// <summary>Bytes that results and their gradients take in a step, parameters and optimizer aside.</summary>
    public long ActivationBytes => context.Arena.ByteCount;

    /// <summary>Makes the optimizer's state 0 where masks are: what it has of numbers that went would move them.</summary>
    internal void ClearMasked()
    {
        for (int i = 0; i < Optimizer.Parameters.Count; i++)
            if (Optimizer.Parameters[i].Mask is { } mask)
                Optimizer.Clear(i, mask);
    }

    /// <summary>One optimizer step over <see cref="TrainingOptions.Accumulation"/> batches, at the schedule's rate.</summary>
    public StepResult Step() => Step(options.RateAt(Optimizer.StepsTaken));

    /// <summary>The same at a rate of the caller's.</summary>
    public StepResult Step(double rate)
    {
        int step = Optimizer.StepsTaken;
        double loss = 0;
        pruner?.Before(step);
        quantization?.Round(context.Pool, step);
        for (int part = 0; part < options.Accumulation; part++)
        {
            windows.Fill(((long)step * options.Accumulation + part) * options.BatchSize, options.BatchSize, batch, targets);
            loss += attack is null ? Gradients(model.Forward(batch, context), 1) : Attacked(attack);
        }
        quantization?.Back(context.Pool);
        pruner?.Gradients(step);
        Correction?.Invoke(Optimizer.Parameters);
        foreach (Parameter parameter in Optimizer.Parameters)
            if (parameter.Mask is { } mask)
                Pruned.Clear(parameter.Tensor.Grad!, mask);
        double norm = GradientNorm();
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
            throw new CoppiceException($"Training: step {step + 1} has loss {loss} and gradient norm {norm}; lower the learning rate {rate} or check the weights for NaN");
        Optimizer.Step(context.Pool, rate, options.GradientClip > 0 && norm > options.GradientClip ? options.GradientClip / norm : 1, options);
        pruner?.After(step, rate);
        quantization?.Limit();
        return new StepResult(step + 1, loss, norm, rate);
    }

    // Adds a share of the gradients of the batch's mean loss, over all batches of the step; gives that share of the loss.
    double Gradients(Tensor logits, double share)
    {
        double divisor = targets.Length * options.Accumulation / share;
        Tensor nats = teacher?.Loss(context, logits, batch, targets, divisor) ?? CrossEntropy.Apply(context, logits, targets, divisor);
        double loss = nats.Data[0];
        context.Tape!.Backward(nats);
        context.Reset();
        return loss;
    }

    // Half of the loss on the batch as it is, half with its embeddings shifted to where that made it larger.
    double Attacked(EmbeddingAttack attack)
    {
        attack.Withdraw();
        double loss = Gradients(attack.Forward(model, batch, context), 0.5);
        attack.Aim();
        return loss + Gradients(attack.Forward(model, batch, context), 0.5);
    }

    /// <summary>Mean nats a token over held-out windows, at most <paramref name="limit"/> of them, without a gradient; of matrices that train as integers, as that.</summary>
    public double Measure(TokenWindows heldOut, int limit = 64)
    {
        ForwardContext plain = new(context.Pool);
        int count = Math.Min(limit, heldOut.Count), length = options.ContextLength;
        int[] next = new int[length];
        Batch one = new();
        double nats = 0;
        quantization?.Round(context.Pool, Optimizer.StepsTaken);
        for (int i = 0; i < count; i++)
        {
            heldOut.Fill(i, 1, one, next);
            ReadOnlySpan<float> logits = model.Forward(one, plain).Data;
            for (int t = 0; t < length; t++)
                nats += CrossEntropy.Row(logits.Slice(t * model.VocabularySize, model.VocabularySize), next[t]);
            plain.Reset();
        }
        quantization?.Restore();
        return nats / ((long)count * length);
    }

    /// <summary>Frees the gradients, stores integers as such and masked matrices sparsely: the model is for use now.</summary>
    public void Finish()
    {
        foreach (Parameter parameter in Optimizer.Parameters)
            parameter.Tensor.DropGradient();
        quantization?.Store(context.Pool, Optimizer.StepsTaken);
        HashSet<Tensor> masked = [.. Optimizer.Parameters.Where(parameter => parameter.Mask is not null).Select(parameter => parameter.Tensor)];
        foreach ((_, MatrixLayer layer) in model.Matrices())
            if (layer.Weight is DenseWeight dense && masked.Contains(dense.Values))
                layer.Weight = Pruned.Store(dense.Values);
    }

    double GradientNorm()
    {
        double sum = 0;
        foreach (Parameter parameter in Optimizer.Parameters)
            sum += TensorPrimitives.SumOfSquares<float>(parameter.Tensor.Grad!.Data);
        return Math.Sqrt(sum);
    }
}

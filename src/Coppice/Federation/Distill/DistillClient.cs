using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Training;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Distill;

/// <summary>A client's side of distillation: a model of its own, of any shape, that never leaves it. What leaves is what it holds of a public text.</summary>
sealed class DistillClient(string id, int[] tokens, int[] measured, DecoderModel? model, WorkerPool pool)
{
    Trainer? trainer;
    Optimizer? digest;
    string run = "", hash = "";
    int round;
    byte[] answer = [];

    /// <summary>Does what a task asks. The same task a second time gets the same bytes.</summary>
    /// <exception cref="CoppiceException">The task is damaged, another client's or comes out of turn, the client has no model, or that has another vocabulary.</exception>
    public ReadOnlyMemory<byte> Answer(string name, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        DistillTask task = DistillTask.Read(name, message, out ReadOnlyMemory<byte> tensors);
        if (task.Client != id)
            throw FormatError.At(name, $"is for client '{task.Client}'");
        if (model is null)
            throw FormatError.At(name, "asks what a model of the client's own holds of a text, and it has none");
        string asked = Convert.ToHexStringLower(SHA256.HashData(message.Span));
        if (asked == hash)
            return answer;
        if (run.Length > 0 && (task.Run != run || task.Round <= round))
            throw FormatError.At(name, $"is of round {task.Round}, and this client's model is past round {round} of {(task.Run == run ? "it" : "another run")}");
        TrainingOptions options = task.Training.ToOptions();
        if (task.Vocabulary != model.VocabularySize || options.ContextLength > model.ContextLength)
            throw FormatError.At(name, $"is about {task.Vocabulary} tokens in contexts of {options.ContextLength}, and this client's model knows {model.VocabularySize} in {model.ContextLength}; they do not belong together");
        if (Math.Max(tokens.Max(), measured.Max()) is var highest && highest >= model.VocabularySize)
            throw FormatError.At(name, $"the text has token id {highest}, the model's vocabulary {model.VocabularySize}; they do not belong together");
        using SafeTensors file = SafeTensors.Read(name, tensors);
        int[][] text = ReadText(file, DistillTask.Text, task, options.ContextLength), agreedText = ReadText(file, DistillTask.AgreedText, task, options.ContextLength);

        trainer ??= new Trainer(model, new TokenWindows(tokens, options.ContextLength, options.Seed), options, pool);
        digest ??= Optimizer.Create(trainer.Optimizer.Parameters, options);
        TokenWindows held = new(measured, options.ContextLength, options.Seed);
        double before = trainer.Measure(held, task.EvaluationWindows);
        if (agreedText.Length > 0)
            Digest(task, options, agreedText, ReadAgreed(file, agreedText.Length * options.ContextLength, task.Vocabulary), cancel);
        for (int step = 0; step < task.LocalSteps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            trainer.Step(options.RateAt((task.Round - 1) * task.LocalSteps + step));
        }
        double after = trainer.Measure(held, task.EvaluationWindows);
        if (!double.IsFinite(after))
            throw FormatError.At(name, $"after its steps the loss is {after}; lower the learning rate {options.LearningRate}");
        answer = Message.Write(new DistillAnswer(DistillTask.CurrentFormat, task.Run, task.Round, id, model.ParameterCount, before, after), FederationJson.Default.DistillAnswer,
            SafeTensorsWriter.ToBytes(text.Length == 0 ? [] : [TensorSource.Floats(DistillTask.Logits, DType.F16, Logits(text, cancel))]));
        (run, round, hash) = (task.Run, task.Round, asked);
        return answer;
    }

    // Windows of the public text one after the other, over and over, towards what all hold of them.
    void Digest(DistillTask task, TrainingOptions options, int[][] text, Tensor agreed, CancellationToken cancel)
    {
        ForwardContext context = new(pool, new Tape());
        int length = options.ContextLength, vocabulary = task.Vocabulary, size = Math.Min(options.BatchSize, text.Length);
        int[] targets = new int[size * length];
        Tensor soft = new([size * length, vocabulary]);
        Batch batch = new();
        for (int step = 0; step < task.DigestSteps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            batch.Clear();
            for (int i = 0; i < size; i++)
            {
                int window = (step * size + i) % text.Length;
                batch.Add(text[window].AsSpan(0, length));
                text[window].AsSpan(1, length).CopyTo(targets.AsSpan(i * length));
                agreed.Data.Slice(window * length * vocabulary, length * vocabulary).CopyTo(soft.Data[(i * length * vocabulary)..]);
            }
            Tensor loss = Tensors.SoftTargets.Apply(context, model!.Forward(batch, context), soft, targets, new SoftTargetsSettings((float)task.Temperature, 1), targets.Length);
            context.Tape!.Backward(loss);
            context.Reset();
            double norm = Math.Sqrt(digest!.Parameters.Sum(parameter => (double)TensorPrimitives.SumOfSquares<float>(parameter.Tensor.Grad!.Data)));
            if (!double.IsFinite(norm))
                throw new CoppiceException($"Distillation: step {step + 1} has a gradient of norm {norm}; lower the learning rate {options.LearningRate}");
            digest.Step(pool, options.RateAt((task.Round - 1) * task.LocalSteps), options.GradientClip > 0 && norm > options.GradientClip ? options.GradientClip / norm : 1, options);
        }
    }

    Tensor Logits(int[][] text, CancellationToken cancel)
    {
        int length = text[0].Length - 1, vocabulary = model!.VocabularySize;
        Tensor logits = new([text.Length * length, vocabulary]);
        ForwardContext context = new(pool);
        Batch batch = new();
        for (int i = 0; i < text.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            batch.Clear();
            batch.Add(text[i].AsSpan(0, length));
            model.Forward(batch, context).Data.CopyTo(logits.Data[(i * length * vocabulary)..]);
            context.Reset();
        }
        return logits;
    }

    // Of a text that is not there, no windows.
    static int[][] ReadText(SafeTensors file, string tensor, DistillTask task, int length)
    {
        if (!file.Entries.ContainsKey(tensor))
            return [];
        TensorEntry entry = file.Find(tensor);
        if (entry.DType != DType.I32 || entry.Shape.Length != 2 || entry.Shape[1] != length + 1)
            throw FormatError.At(file.Path, $"tensor '{tensor}' is {entry.DType} [{string.Join(", ", entry.Shape)}], wanted {DType.I32} [windows, {length + 1}]");
        int[] ids = new int[checked(entry.Shape[0] * entry.Shape[1])];
        entry.ReadBytes(0, MemoryMarshal.AsBytes(ids.AsSpan()));
        if (ids.Any(token => token < 0 || token >= task.Vocabulary))
            throw FormatError.At(file.Path, $"tensor '{tensor}' has a token id out of 0 to {task.Vocabulary - 1}");
        return [.. ids.Chunk(length + 1)];
    }

    static Tensor ReadAgreed(SafeTensors file, int rows, int vocabulary)
    {
        Tensor agreed = file.ReadTensor(DistillTask.AgreedLogits);
        return agreed.Shape.SequenceEqual([rows, vocabulary]) ? agreed : throw FormatError.At(file.Path, $"tensor '{DistillTask.AgreedLogits}' is {agreed.Shape}, wanted [{rows}, {vocabulary}]");
    }
}

using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Distill;

/// <summary>
/// Server to client: train your own model, and say what it holds of a public text. With it come <c>text</c>, I32 [windows, context + 1], and of the round before <c>agreed.text</c> and <c>agreed.logits</c>, F16 [windows x context, vocabulary]:
/// what all clients held of that text on average. At the end of a run there is no text to answer on.
/// </summary>
/// <param name="Round">1-based.</param>
/// <param name="Vocabulary">Logits of a token.</param>
/// <param name="DigestSteps">Optimizer steps towards what was agreed on.</param>
/// <param name="Temperature">What logits are divided by in those.</param>
/// <param name="LocalSteps">Optimizer steps on the client's own text, after them.</param>
/// <param name="EvaluationWindows">Windows that losses are measured over, at most.</param>
sealed record DistillTask(string Format, string Run, int Round, string Client, int Vocabulary, int DigestSteps, double Temperature, int LocalSteps, int EvaluationWindows, LocalTraining Training)
{
    public const string CurrentFormat = "coppice.distill.1", Text = "text", AgreedText = "agreed.text", AgreedLogits = "agreed.logits", Logits = "logits";

    public static DistillTask Read(string name, ReadOnlyMemory<byte> message, out ReadOnlyMemory<byte> tensors)
    {
        DistillTask task = Message.Read(name, message, FederationJson.Default.DistillTask, out tensors);
        if (task.Round < 1 || task.Vocabulary < 1 || task.DigestSteps < 0 || task.LocalSteps < 0 || task.EvaluationWindows < 1 || !(task.Temperature > 0 && double.IsFinite(task.Temperature)))
            throw FormatError.At(name, $"round {task.Round}, vocabulary {task.Vocabulary}, digestSteps {task.DigestSteps}, localSteps {task.LocalSteps}, evaluationWindows {task.EvaluationWindows}, temperature {task.Temperature}; wanted 1, 1, 0, 0, 1 or more, and above 0");
        return task;
    }
}

/// <summary>Client to server: its losses, and as <c>logits</c>, F16 [windows x context, vocabulary], what its model holds of the public text.</summary>
/// <param name="Parameters">Numbers of its model.</param>
/// <param name="LossBefore">Mean nats a token of its model on its own held-out text, before the round's steps.</param>
/// <param name="LossAfter">The same after them.</param>
sealed record DistillAnswer(string Format, string Run, int Round, string Client, long Parameters, double LossBefore, double LossAfter)
{
    /// <summary>Takes a message apart, which is not trusted.</summary>
    /// <param name="rows">Rows of logits that were asked for; 0 for none.</param>
    /// <exception cref="CoppiceException">It is anything else than what was asked for.</exception>
    public static (DistillAnswer Answer, Tensor? Logits) Read(string name, ReadOnlyMemory<byte> message, DistillTask task, int rows)
    {
        DistillAnswer answer = Message.Read(name, message, FederationJson.Default.DistillAnswer, out ReadOnlyMemory<byte> tensors);
        if ((answer.Format, answer.Run, answer.Round, answer.Client) != (DistillTask.CurrentFormat, task.Run, task.Round, task.Client))
            throw FormatError.At(name, $"is '{answer.Format}', round {answer.Round} of client '{answer.Client}'; wanted '{DistillTask.CurrentFormat}', round {task.Round} of client '{task.Client}' in the same run");
        if (answer.Parameters < 1 || !new[] { answer.LossBefore, answer.LossAfter }.All(loss => loss >= 0 && double.IsFinite(loss)))
            throw FormatError.At(name, $"has {answer.Parameters} numbers and losses {answer.LossBefore} and {answer.LossAfter}, wanted 1 or more and nats of 0 or more");
        using SafeTensors file = SafeTensors.Read(name, tensors);
        if (file.Entries.Count != (rows == 0 ? 0 : 1))
            throw FormatError.At(name, $"has {file.Entries.Count} tensors, wanted {(rows == 0 ? "none" : $"'{DistillTask.Logits}' alone")}");
        if (rows == 0)
            return (answer, null);
        TensorEntry entry = file.Find(DistillTask.Logits);
        if (entry.DType != DType.F16 || !entry.Shape.SequenceEqual([rows, task.Vocabulary]))
            throw FormatError.At(name, $"tensor '{entry.Name}' is {entry.DType} [{string.Join(", ", entry.Shape)}], wanted {DType.F16} [{rows}, {task.Vocabulary}]");
        Tensor logits = file.ReadTensor(entry.Name);
        return float.IsFinite(System.Numerics.Tensors.TensorPrimitives.MaxMagnitude<float>(logits.Data)) ? (answer, logits) : throw FormatError.At(name, "has logits that are not finite");
    }
}

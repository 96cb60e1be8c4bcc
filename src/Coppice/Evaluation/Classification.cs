using System.Collections.Immutable;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Evaluation;

/// <summary>How well a classifier tells texts' classes.</summary>
/// <param name="Accuracy">The share of right answers.</param>
/// <param name="NegativeLogLikelihood">Mean nats that the right class cost.</param>
/// <param name="Answers">The class that it chose for each text.</param>
/// <param name="Right">Whether that was right.</param>
public sealed record ClassificationScores(Score Accuracy, Score NegativeLogLikelihood, ImmutableArray<int> Answers, ImmutableArray<bool> Right)
{
    /// <summary>Texts that were longer than the model's context, and were cut.</summary>
    public int Cut { get; init; }

    /// <summary>How much better these answers are than those of another model to the same texts, and how often both agree. The error is that of the paired difference.</summary>
    public (Score Gain, Score Agreement) Against(ClassificationScores other)
    {
        if (Accuracy.Signature != other.Accuracy.Signature)
            throw new CoppiceException($"Classification: scores of {Accuracy.Signature} and of {other.Accuracy.Signature} do not compare");
        double[] gains = [.. Right.Zip(other.Right, (mine, theirs) => (mine ? 1.0 : 0) - (theirs ? 1 : 0))], same = [.. Answers.Zip(other.Answers, (mine, theirs) => mine == theirs ? 1.0 : 0)];
        return (Classification.Mean("accuracyGain", gains, Accuracy.Signature), Classification.Mean("agreement", same, Accuracy.Signature));
    }
}

/// <summary>Accuracy of an encoder's classifier on labelled texts.</summary>
public static class Classification
{
    const int TokensPerPass = 2048;

    /// <summary>Measures a model; texts longer than its context are cut at their end. Progress is the share of texts done.</summary>
    /// <param name="model">A classifier.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="data">Texts and their classes.</param>
    /// <param name="pool">Threads.</param>
    /// <param name="activations">What integer matrices round their inputs to.</param>
    /// <param name="progress">Hears the share.</param>
    /// <param name="cancel">Stops between batches.</param>
    /// <exception cref="CoppiceException">The model is no classifier, a label is none of its classes, a text has no tokens, or a score is not finite.</exception>
    public static ClassificationScores Measure(EncoderModel model, Tokenizer tokenizer, LabelledTexts data, WorkerPool pool, ActivationFormat activations = ActivationFormat.Float32, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        if (model.Config.Task != EncoderTask.Classification)
            throw new CoppiceException($"this {model.Family} gives {model.Config.Task}, wanted a classifier");
        ForwardContext context = new(pool) { Activations = activations };
        int cut = 0;
        Batch batch = new();
        List<int> answers = [], truths = [.. data.Texts.Select((text, i) => ClassOf(model.Config.Labels, text.Label, i))];
        List<double> nats = [];
        for (int i = 0; i < data.Texts.Length; i++)
        {
            cut += Add(batch, tokenizer, data.Texts[i], i, model.ContextLength);
            if (batch.Count < TokensPerPass && i + 1 < data.Texts.Length)
                continue;
            cancel.ThrowIfCancellationRequested();
            context.Reset();
            Tensor scores = model.Forward(batch, context);
            for (int row = 0; row < scores.Shape.Rows; row++)
            {
                ReadOnlySpan<float> classes = scores.Data.Slice(row * scores.Shape.Columns, scores.Shape.Columns);
                nats.Add(Nats(classes, truths[answers.Count], answers.Count));
                answers.Add(TensorPrimitives.IndexOfMax(classes));
            }
            batch.Clear();
            progress?.Report((i + 1.0) / data.Texts.Length);
        }
        ImmutableArray<bool> right = [.. answers.Zip(truths, (answer, truth) => answer == truth)];
        string signature = $"texts {data.Hash[..12]}, {data.Texts.Length} of them, tokenizer {tokenizer.Hash[..12]}, context {model.ContextLength}{(activations == ActivationFormat.Float32 ? "" : $", {ActivationFormats.NameOf(activations)} activations")}";
        return new ClassificationScores(Mean("accuracy", [.. right.Select(one => one ? 1.0 : 0)], signature), Mean("nll", [.. nats], signature), [.. answers], right) { Cut = cut };
    }

    /// <summary>A mean with its standard error.</summary>
    internal static Score Mean(string metric, double[] values, string signature)
    {
        double mean = values.Average(), squares = values.Sum(value => (value - mean) * (value - mean));
        return new Score(metric, mean, values.Length > 1 ? Math.Sqrt(squares / (values.Length - 1) / values.Length) : double.NaN, values.Length, signature);
    }

    static int ClassOf(IReadOnlyList<string> labels, string label, int text)
    {
        int named = labels.ToList().IndexOf(label);
        return named >= 0 ? named
            : int.TryParse(label, out int number) && (uint)number < (uint)labels.Count ? number
            : throw new CoppiceException($"text {text + 1} has the label '{label}', the model's classes are {string.Join(", ", labels)}");
    }

    static double Nats(ReadOnlySpan<float> scores, int truth, int text)
    {
        double max = TensorPrimitives.Max(scores), sum = 0;
        foreach (float score in scores)
            sum += Math.Exp(score - max);
        double nats = Math.Log(sum) + max - scores[truth];
        return double.IsFinite(nats) ? nats : throw new CoppiceException($"text {text + 1}: the scores are not finite; the weights hold NaN or overflow");
    }

    // 1 where the text had to be cut.
    static int Add(Batch batch, Tokenizer tokenizer, LabelledText text, int index, int context)
    {
        TokenSequence encoded = tokenizer.EncodeForModel(text.Text, text.Second);
        if (encoded.Ids.Count == 0)
            throw new CoppiceException($"text {index + 1} has no tokens, and the model's tokenizer puts none around it");
        // What closes a text stays at its end.
        int[] ids = encoded.Ids.Count <= context ? [.. encoded.Ids] : [.. encoded.Ids.Take(context - 1), encoded.Ids[^1]];
        int second = encoded.TypeIds.TakeWhile(type => type == 0).Count();
        if (second < ids.Length)
            batch.AddPair(ids, second);
        else
            batch.Add(ids);
        return encoded.Ids.Count > context ? 1 : 0;
    }
}

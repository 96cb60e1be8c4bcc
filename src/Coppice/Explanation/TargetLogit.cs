using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Explanation;

/// <summary>A model as a function of its input embeddings [tokens, width]: the target's logit after the last token.</summary>
internal sealed class TargetLogit
{
    readonly Model model;
    readonly int[] tokens;
    readonly int target;
    readonly ForwardContext plain, recording;

    public TargetLogit(Model model, WorkerPool pool, ReadOnlySpan<int> tokens, int target)
    {
        if (tokens.IsEmpty)
            throw new CoppiceException("Explain: no tokens, wanted one or more");
        if ((uint)target >= (uint)model.VocabularySize)
            throw new CoppiceException($"Explain: target id {target}, the model's vocabulary has {model.VocabularySize}");
        this.model = model;
        this.tokens = tokens.ToArray();
        this.target = target;
        plain = new ForwardContext(pool);
        recording = new ForwardContext(pool, new Tape());
    }

    /// <summary>The embeddings of these ids.</summary>
    public float[] Embed(ReadOnlySpan<int> ids)
    {
        plain.Reset();
        return model.Embed(new Batch(ids), plain).Data.ToArray();
    }

    /// <summary>The embeddings of these ids, each as the first of a text.</summary>
    public float[] EmbedFirst(ReadOnlySpan<int> ids)
    {
        Batch texts = new();
        foreach (int id in ids)
            texts.Add([id]);
        plain.Reset();
        return model.Embed(texts, plain).Data.ToArray();
    }

    /// <summary>F at one point.</summary>
    public double Value(ReadOnlySpan<float> point)
    {
        plain.Reset();
        Tensor hidden = Tensor.From([tokens.Length, model.Width], point);
        return Sum(plain, hidden, 1).Data[0];
    }

    /// <summary>dF/dx at several points in one pass, each its own sequence.</summary>
    public void Gradients(ReadOnlySpan<float> points, int count, Span<float> gradients)
    {
        recording.Reset();
        Tensor hidden = Tensor.From([count * tokens.Length, model.Width], points);
        hidden.TrackGradient();
        recording.Tape!.Backward(Sum(recording, hidden, count));
        hidden.Grad!.Data.CopyTo(gradients);
    }

    Tensor Sum(ForwardContext context, Tensor hidden, int count)
    {
        Batch batch = new();
        int[] last = new int[count];
        for (int i = 0; i < count; i++)
        {
            batch.Add(tokens);
            last[i] = batch.Count - 1;
        }
        Tensor ends = TakeRows.Apply(context, model.Blockwise(hidden, batch, context), last);
        return ColumnSum.Apply(context, model.Head(ends, context), target);
    }
}

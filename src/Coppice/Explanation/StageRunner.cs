using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Explanation;

/// <summary>Runs a model over one window, keeps what enters each stage, and runs it again from a stage that was replaced.</summary>
internal sealed class StageRunner(Model host, WorkerPool pool)
{
    readonly ForwardContext context = new(pool);
    readonly float[][] entries = new float[host.Blocks.Count + 2][];
    Batch batch = new();

    /// <summary>Logits [tokens, vocabulary] of the model as it is; they last until the next call.</summary>
    public ReadOnlySpan<float> Start(ReadOnlyMemory<int> window)
    {
        if (window.Length > host.ContextLength)
            throw new CoppiceException($"Layer blame: a window of {window.Length} tokens, the model's context holds {host.ContextLength}");
        batch = new Batch(window.Span);
        context.Reset();
        Tensor hidden = host.Embed(batch, context);
        for (int stage = 1; stage < entries.Length; stage++)
        {
            entries[stage] = hidden.Data.ToArray();
            hidden = Run(host, stage, hidden);
        }
        return hidden.Data;
    }

    /// <summary>Logits of the model with one part taken from the donor; they last until the next call.</summary>
    public ReadOnlySpan<float> With(Transplant part)
    {
        context.Reset();
        if (part.Matrix is null)
            return Continue(Run(part.Donor, part.Stage, Entry(part.Stage)), part.Stage + 1);

        MatrixLayer layer = Find(host, part);
        Weight kept = layer.Weight;
        layer.Weight = Find(part.Donor, part).Weight;
        try
        {
            return Continue(Entry(part.Stage), part.Stage);
        }
        finally
        {
            layer.Weight = kept;
        }
    }

    Tensor? Entry(int stage) => stage == 0 ? null : Tensor.From([batch.Count, host.Width], entries[stage]);

    ReadOnlySpan<float> Continue(Tensor? hidden, int stage)
    {
        for (; stage < entries.Length; stage++)
            hidden = Run(host, stage, hidden);
        return hidden!.Data;
    }

    Tensor Run(Model model, int stage, Tensor? hidden) =>
        stage == 0 ? model.Embed(batch, context)
        : stage <= model.Blocks.Count ? model.Blocks[stage - 1].Forward(hidden!, batch, stage - 1, context)
        : model.Head(hidden!, context);

    static MatrixLayer Find(Model model, Transplant part) =>
        (MatrixLayer)model.Blocks[part.Stage - 1].Walk().First(child => child.Name == part.Matrix).Layer;
}

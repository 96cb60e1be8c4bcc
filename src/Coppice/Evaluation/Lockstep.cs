using System.Runtime.InteropServices;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Evaluation;

/// <summary>Reads a text with one or more models at a time, window by window, and shows their logits of each scored token side by side. Stores none.</summary>
internal static class Lockstep
{
    /// <summary>Sees the logits [targets, vocabulary] of each model for scored tokens <paramref name="first"/> on; they last for the call.</summary>
    public delegate void Visitor(int first, ReadOnlySpan<int> targets, ReadOnlySpan<Tensor> logits);

    /// <summary>Calls <paramref name="visit"/> for all scored tokens in the windows' order. Progress is the share of them that is done.</summary>
    /// <exception cref="CoppiceException">A model cannot read the text.</exception>
    public static void Read(
        Model[] models, EvaluationText text, WorkerPool pool, EvaluationOptions options, IProgress<double>? progress, CancellationToken cancel, Visitor visit)
    {
        foreach (Model model in models)
            text.Check(model);
        LogitReader[] readers = [.. models.Select(model => new LogitReader(model, pool, options.Activations))];
        Tensor[] logits = new Tensor[models.Length];
        Batch batch = new();
        List<int> rows = [], targets = [];
        int done = 0;
        for (int next = 0; next < text.Windows.Count;)
        {
            next = Fill(text, next, options.TokensPerPass, batch, rows, targets);
            foreach (LogitReader reader in readers)
                reader.Read(batch);
            for (int start = 0; start < rows.Count; start += options.LogitRows)
            {
                cancel.ThrowIfCancellationRequested();
                int count = Math.Min(options.LogitRows, rows.Count - start);
                for (int i = 0; i < readers.Length; i++)
                    logits[i] = readers[i].Logits(Span(rows).Slice(start, count));
                visit(done, Span(targets).Slice(start, count), logits);
                done += count;
                progress?.Report((double)done / text.ScoredTokens);
            }
        }
    }

    // As many windows as fit, at least one; row i predicts target i.
    static int Fill(EvaluationText text, int next, int tokens, Batch batch, List<int> rows, List<int> targets)
    {
        batch.Clear();
        rows.Clear();
        targets.Clear();
        do
        {
            Window window = text.Windows[next++];
            ReadOnlySpan<int> ids = text.Documents[window.Document].Ids.Span.Slice(window.Start, window.Length);
            for (int i = window.FirstScored; i < ids.Length; i++)
            {
                rows.Add(batch.Count + i - 1);
                targets.Add(ids[i]);
            }
            // Nothing reads the window's last id: what it predicts lies outside.
            batch.Add(ids[..^1]);
        }
        while (next < text.Windows.Count && batch.Count + text.Windows[next].Length - 1 <= tokens);
        return next;
    }

    static Span<int> Span(List<int> list) => CollectionsMarshal.AsSpan(list);

    /// <summary>One model's pass over a batch, and its logits a slice at a time, so that memory grows with neither.</summary>
    sealed class LogitReader(Model model, WorkerPool pool, ActivationFormat activations)
    {
        readonly ForwardContext context = new(pool) { Activations = activations };
        Tensor hidden = null!;
        int mark;

        public void Read(Batch batch)
        {
            context.Reset();
            hidden = model.Blockwise(model.Embed(batch, context), batch, context);
            mark = context.Arena.Mark;
        }

        public Tensor Logits(ReadOnlySpan<int> rows)
        {
            context.Arena.Release(mark);
            Tensor picked = context.Arena.Rent([rows.Length, model.Width]);
            for (int i = 0; i < rows.Length; i++)
                hidden.Data.Slice(rows[i] * model.Width, model.Width).CopyTo(picked.Data[(i * model.Width)..]);
            return model.Head(picked, context);
        }
    }
}

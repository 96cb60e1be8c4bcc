using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>Calibration text on its way through a model: the hidden states that enter the block in hand, and nothing of what came before.</summary>
internal sealed class Calibration : IInputSource
{
    const int BatchTokens = 2048, HeadRows = 128;

    readonly Model model;
    ForwardContext context;
    readonly List<(Batch Tokens, Tensor Hidden)> batches = [];

    /// <summary>Embeds the sequences, in batches of about 2,048 tokens.</summary>
    public Calibration(Model model, IReadOnlyList<int[]> sequences, WorkerPool pool)
    {
        this.model = model;
        context = new ForwardContext(pool);
        Batch batch = new();
        foreach (int[] sequence in sequences)
        {
            if (sequence.Length == 0 || sequence.Length > model.ContextLength)
                throw new CoppiceException($"a calibration sequence has {sequence.Length} tokens, wanted 1 to the model's context of {model.ContextLength}");
            if (batch.Count > 0 && batch.Count + sequence.Length > BatchTokens)
            {
                Embed(batch);
                batch = new Batch();
            }
            batch.Add(sequence);
        }
        if (batch.Count > 0)
            Embed(batch);
    }

    /// <inheritdoc/>
    public long Tokens { get; private set; }

    /// <inheritdoc/>
    public Statistics Wanted(Statistics needed) => Statistics.Gram;

    /// <inheritdoc/>
    /// <remarks>An expert sees the tokens that were sent to it.</remarks>
    public InputStatistics[] Measure(TransformerBlock block, int index, IReadOnlyList<Linear> readers, Statistics kind, CancellationToken cancel)
    {
        InputStatistics[] statistics = [.. readers.Select(reader => new InputStatistics(reader.Weight.Columns, kind))];
        // Of the last reader's stage on, nothing is needed but what enters.
        Stage[] stages = [.. block.Stages];
        int last = Array.FindLastIndex(stages, stage => stage.Matrices.Intersect(readers).Any());
        HashSet<Linear> behind = [.. stages.Skip(last).SelectMany(stage => stage.Matrices)];
        context.OnLinearInput = (linear, x) =>
        {
            for (int i = 0; i < readers.Count; i++)
                if (ReferenceEquals(linear, readers[i]))
                    statistics[i].Add(context.Pool, x.Data);
            context.OmitsProducts = behind.Contains(linear);
        };
        foreach ((Batch tokens, Tensor hidden) in batches)
        {
            cancel.ThrowIfCancellationRequested();
            block.Forward(hidden, tokens, index, context);
            context.Reset();
            context.OmitsProducts = false;
        }
        context.OnLinearInput = null;
        return statistics;
    }

    /// <inheritdoc/>
    /// <remarks>The next pass makes it anew.</remarks>
    public void LetGo() => context = new ForwardContext(context.Pool);

    /// <summary>Whether the head multiplies by a matrix.</summary>
    public bool HeadReads(MatrixLayer layer)
    {
        bool reads = false;
        RunHead(batches[0].Hidden, new Sequence(0, 1), (linear, _) => reads |= ReferenceEquals(linear.Weight, layer.Weight));
        return reads;
    }

    /// <inheritdoc/>
    public InputStatistics? MeasureHead(MatrixLayer layer, Statistics kind, CancellationToken cancel)
    {
        if (!HeadReads(layer))
            return null;
        InputStatistics statistics = new(layer.Weight.Columns, kind);
        // A few rows at a time: logits are as wide as the vocabulary.
        foreach ((Batch tokens, Tensor states) in batches)
        {
            Tensor read = model.HeadInput(states, tokens, context), hidden = Tensor.From(read.Shape, read.Data);
            context.Reset();
            for (int row = 0; row < hidden.Shape.Rows; row += HeadRows)
            {
                cancel.ThrowIfCancellationRequested();
                RunHead(hidden, new Sequence(row, Math.Min(HeadRows, hidden.Shape.Rows - row)), (linear, x) =>
                {
                    if (ReferenceEquals(linear.Weight, layer.Weight))
                        statistics.Add(context.Pool, x.Data);
                });
            }
        }
        return statistics;
    }

    /// <inheritdoc/>
    public void Advance(TransformerBlock block, int index, CancellationToken cancel)
    {
        foreach ((Batch tokens, Tensor hidden) in batches)
        {
            cancel.ThrowIfCancellationRequested();
            block.Forward(hidden, tokens, index, context).Data.CopyTo(hidden.Data);
            context.Reset();
        }
    }

    /// <summary>The same, gathering the mean squares of what enters each matrix of the block on the way.</summary>
    public IReadOnlyDictionary<Linear, InputStatistics> AdvanceMeasuring(TransformerBlock block, int index, CancellationToken cancel)
    {
        Dictionary<Linear, InputStatistics> inputs = [];
        context.OnLinearInput = (linear, x) =>
        {
            if (!inputs.TryGetValue(linear, out InputStatistics? statistics))
                inputs.Add(linear, statistics = new InputStatistics(linear.Weight.Columns, Statistics.ColumnNorms));
            statistics.Add(context.Pool, x.Data);
        };
        Advance(block, index, cancel);
        context.OnLinearInput = null;
        return inputs;
    }

    void RunHead(Tensor hidden, Sequence rows, Action<Linear, Tensor> see)
    {
        // Nothing reads what the head gives, and it is as wide as the vocabulary.
        context.OnLinearInput = (linear, x) =>
        {
            see(linear, x);
            context.OmitsProducts = linear.Weight.Rows >= model.VocabularySize;
        };
        model.Head(Tensor.From([rows.Length, hidden.Shape.Columns], hidden.Rows(rows)), context);
        (context.OnLinearInput, context.OmitsProducts) = (null, false);
        context.Reset();
    }

    void Embed(Batch batch)
    {
        Tensor hidden = model.Embed(batch, context);
        batches.Add((batch, Tensor.From(hidden.Shape, hidden.Data)));
        Tokens += batch.Count;
        context.Reset();
    }
}

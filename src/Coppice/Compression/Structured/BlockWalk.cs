using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Structured;

/// <summary>Calibration text on its way through a model as it is, block after block, so that each matrix is needed once.</summary>
sealed class BlockWalk
{
    const int BatchTokens = 2048;

    readonly DecoderModel model;
    readonly ModelWork work;
    readonly ForwardContext context;
    readonly List<(Batch Tokens, Tensor Hidden)> batches = [];

    /// <summary>Embeds the text, in batches of about 2,048 tokens.</summary>
    public BlockWalk(DecoderModel model, ModelWork work)
    {
        (this.model, this.work, context) = (model, work, new ForwardContext(work.Pool));
        Batch batch = new();
        foreach (int[] sequence in work.Calibration)
        {
            if (batch.Count > 0 && batch.Count + sequence.Length > BatchTokens)
            {
                Embed(batch);
                batch = new Batch();
            }
            batch.Add(sequence);
        }
        Embed(batch);
    }

    /// <summary>Tokens in all sequences.</summary>
    public long Tokens { get; private set; }

    /// <summary>Called with the number of a block before any text enters it.</summary>
    public Action<int>? Entered { get; init; }

    /// <summary>Called with the number of a block when all text has left it.</summary>
    public Action<int>? Left { get; init; }

    /// <summary>Called with every product of a block and its input [tokens, inputs].</summary>
    public Action<int, Linear, Tensor>? Reads { get; init; }

    /// <summary>Called with the number of a block and of a batch, and the states [tokens, width] that entered and left.</summary>
    public Action<int, int, Tensor, Tensor>? Passed { get; init; }

    /// <summary>The states of each batch: after <see cref="Run"/> those that left the last block.</summary>
    public IEnumerable<Tensor> Hidden => batches.Select(batch => batch.Hidden);

    /// <summary>Goes through all blocks.</summary>
    /// <exception cref="CoppiceException">States are not finite.</exception>
    public void Run()
    {
        for (int i = 0; i < model.Blocks.Count; i++)
        {
            int layer = i;
            Entered?.Invoke(i);
            context.OnLinearInput = Reads is null ? null : (linear, x) => Reads(layer, linear, x);
            for (int b = 0; b < batches.Count; b++)
            {
                work.Cancel.ThrowIfCancellationRequested();
                (Batch tokens, Tensor hidden) = batches[b];
                Tensor left = model.Blocks[i].Forward(hidden, tokens, i, context);
                if (HalfConversion.IndexOfNonFinite(left.Data) >= 0)
                    throw new CoppiceException($"what leaves layer {i} on calibration text is not finite; the model is damaged");
                Passed?.Invoke(i, b, hidden, left);
                left.Data.CopyTo(hidden.Data);
                context.Reset();
            }
            Left?.Invoke(i);
            work.Progress?.Report((i + 1.0) / model.Blocks.Count);
        }
        context.OnLinearInput = null;
    }

    void Embed(Batch batch)
    {
        Tensor hidden = model.Embed(batch, context);
        batches.Add((batch, Tensor.From(hidden.Shape, hidden.Data)));
        Tokens += batch.Count;
        context.Reset();
    }
}

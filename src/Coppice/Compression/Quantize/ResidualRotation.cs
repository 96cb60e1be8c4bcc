using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>
/// Turns a decoder's residual stream x to R x. A root mean square does not change by it, so that a norm without gain gives R times what it gave; its gain goes into the matrices that read it, those that read get R' behind them, those that write R before them.
/// </summary>
static class ResidualRotation
{
    /// <summary>The turned model: the same, changed, or one with a head of its own where the last norm's gain has no other place. <see cref="Check"/> comes first.</summary>
    public static DecoderModel Apply(DecoderModel model, Rotation rotation, ModelWork work)
    {
        WorkerPool pool = work.Pool;
        foreach (TransformerBlock block in model.Blocks)
        {
            work.Cancel.ThrowIfCancellationRequested();
            foreach ((Linear reader, RmsNorm? norm) in Readers(block))
                reader.Weight = TurnedMatrix.OfInputs(pool, reader.Weight, rotation, norm is null ? [] : norm.Gain.Data);
            foreach (Normalization? norm in new[] { block.Norms.BeforeAttention, block.Norms.BeforeFeedForward })
                Forget(norm);
            foreach (Linear writer in Writers(block))
                TurnedMatrix.TurnOutputs(pool, writer, rotation);
        }
        // A table that embeds and is the head has no place for a gain that differs from channel to channel.
        ReadOnlySpan<float> last = ((RmsNorm)model.FinalNorm).Gain.Data;
        bool staysTied = model.Config.Head == HeadKind.Tied && IsEven(last);
        Weight? head = staysTied ? null : TurnedMatrix.OfInputs(pool, model.Output.Weight, rotation, last);
        if (!staysTied)
            Forget(model.FinalNorm);
        foreach (Embedding table in (IEnumerable<Embedding>)[model.Embedding, .. model.Positions is { } positions ? [positions] : Array.Empty<Embedding>()])
            table.Weight = TurnedMatrix.OfInputs(pool, table.Weight, rotation, []);
        if (model.Config.Head == HeadKind.Tied && head is not null)
        {
            work.Warnings.Add($"the head has a table {head.Shape} of its own now: the last norm's gain went into it, and the embedding could not take that up; 'residual: false' leaves them tied");
            return Untied(model, head);
        }
        if (head is not null)
            model.Output.Weight = head;
        return model;
    }

    /// <summary>What reads the stream in a block, and the norm ahead of it, if any.</summary>
    public static IEnumerable<(Linear Reader, RmsNorm? Norm)> Readers(TransformerBlock block) =>
    [
        .. new[] { block.Attention.Query, block.Attention.Key, block.Attention.Value }.Select(reader => (reader, block.Norms.BeforeAttention as RmsNorm)),
        .. block.FeedForward.Routers.Concat(KeptUnits.Parts(block.FeedForward).SelectMany(part => part.ReadTogether)).Select(reader => (reader, block.Norms.BeforeFeedForward as RmsNorm)),
    ];

    /// <summary>What writes to the stream in a block.</summary>
    public static IEnumerable<Linear> Writers(TransformerBlock block) => [block.Attention.Output, .. KeptUnits.Parts(block.FeedForward).Select(part => part.Down)];

    /// <summary>Throws where norms do not allow it.</summary>
    public static void Check(DecoderModel model)
    {
        foreach (BlockNorms norms in model.Blocks.Select(block => block.Norms).Append(new BlockNorms(model.FinalNorm, null, null, null)))
        {
            if (new[] { norms.BeforeAttention, norms.AfterAttention, norms.BeforeFeedForward, norms.AfterFeedForward }.Any(norm => norm is not (null or RmsNorm)))
                throw new CoppiceException($"rotate: norms of a {model.Family} model take the mean of all channels away, which a turned residual stream does not have; say 'residual: false' to turn heads alone");
            foreach (Normalization? norm in new[] { norms.AfterAttention, norms.AfterFeedForward })
                if (norm is RmsNorm { Gain: var gain } && !IsEven(gain.Data))
                    throw new CoppiceException($"rotate: norms of a {model.Family} model scale channels on their way into the residual stream, and no matrix is behind them to take that up; say 'residual: false' to turn heads alone");
        }
    }

    static bool IsEven(ReadOnlySpan<float> gain) => gain.IndexOfAnyExcept(gain[0]) < 0;

    static void Forget(Normalization? norm)
    {
        if (norm is not RmsNorm { Gain: var gain })
            return;
        gain.Data.Fill(1);
        gain.MarkChanged();
    }

    static DecoderModel Untied(DecoderModel model, Weight head)
    {
        Dictionary<string, Weight> matrices = model.Matrices().ToDictionary(part => part.Name + ".weight", part => part.Layer.Weight);
        Dictionary<string, Tensor> vectors = model.AllVectors().ToDictionary(part => part.Name, part => part.Vector);
        return new DecoderModel(model.Config with { Head = HeadKind.Untied }, (name, _) => name == "lm_head.weight" ? head : matrices[name], (name, _) => vectors[name]);
    }
}

using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>A language model: token ids in, logits out. One definition serves training, calibration, evaluation and generation.</summary>
public abstract class Model : Layer
{
    /// <summary>The family's name: <c>llama</c>.</summary>
    public abstract string Family { get; }

    /// <summary>What else tells this model from others, in a few words each: its kind, heads, experts, positions.</summary>
    public abstract IEnumerable<(string Name, string Value)> Facts { get; }

    /// <summary>Token ids run from 0 to this, exclusive.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The most tokens that a sequence may have.</summary>
    public abstract int ContextLength { get; }

    /// <summary>Width of the hidden states.</summary>
    public abstract int Width { get; }

    /// <summary>The blocks, first to last.</summary>
    public abstract IReadOnlyList<TransformerBlock> Blocks { get; }

    /// <summary>The blocks that read a source text, of models that have such.</summary>
    public virtual IReadOnlyList<TransformerBlock> SourceBlocks => [];

    /// <summary>Ids to the hidden states [tokens, width] that enter the first block.</summary>
    public abstract Tensor Embed(Batch batch, ForwardContext context);

    /// <summary>Whether a token's logits depend on no later token, so that texts can be continued.</summary>
    public virtual bool IsCausal => true;

    /// <summary>What the head reads of the hidden states [tokens, width] of the last block: all, unless it looks at one token of each sequence.</summary>
    public virtual Tensor HeadInput(Tensor hidden, Batch batch, ForwardContext context) => hidden;

    /// <summary>Hidden states [tokens, width] of the last block to logits [tokens, vocabulary].</summary>
    public abstract Tensor Head(Tensor hidden, ForwardContext context);

    /// <summary>What keeps the memory of the blocks' matrices under a limit; null holds all of them once they were used.</summary>
    public BlocksOnDemand? OnDemand { get; set; }

    /// <summary>Logits [tokens, vocabulary]; of a classifier [sequences, classes].</summary>
    public Tensor Forward(Batch batch, ForwardContext context) => Head(HeadInput(Hidden(batch, context), batch, context), context);

    /// <summary>Logits of the last tokens of each sequence, as many as <see cref="Batch.Logits"/> says (one unless told otherwise), the rest of the head's work spared.</summary>
    /// <returns>[sum of <see cref="Batch.Logits"/>, vocabulary] in the order of the sequences; null where none are wanted.</returns>
    public Tensor? ForwardWanted(Batch batch, ForwardContext context)
    {
        Tensor hidden = Hidden(batch, context);
        int wanted = 0;
        foreach (int count in batch.Logits)
            wanted += count;
        if (wanted == 0)
            return null;
        Tensor rows = context.Arena.Rent([wanted, Width]);
        int at = 0;
        for (int i = 0; i < batch.Logits.Length; i++)
        {
            (int start, int length) = batch.Sequences.Span[i];
            Sequence last = new(start + length - batch.Logits[i], batch.Logits[i]);
            hidden.Rows(last).CopyTo(rows.Rows(new Sequence(at, last.Length)));
            at += last.Length;
        }
        return Head(rows, context);
    }

    /// <summary>Logits [sequences, vocabulary] of the last token of each sequence.</summary>
    public Tensor ForwardLast(Batch batch, ForwardContext context) =>
        ForwardWanted(batch, context) ?? throw new ArgumentException("Model: a batch of which no logits are wanted");

    /// <summary>Hidden states after the last block, given those that enter the first.</summary>
    public Tensor Blockwise(Tensor hidden, Batch batch, ForwardContext context)
    {
        Check(batch);
        for (int i = 0; i < Blocks.Count; i++)
        {
            OnDemand?.Enter(i, context.Pool);
            // Without a tape nothing inside a block outlives it but its result, which is kept in the block's first rental.
            hidden = context.Tape is null ? Settled(Blocks[i], hidden, batch, i, context)
                : context.Keeps == KeptActivations.BlockInputs ? CheckpointedBlock.Apply(context, Blocks[i], hidden, batch, i)
                : Blocks[i].Forward(hidden, batch, i, context);
        }
        for (int i = 0; i < batch.Caches.Length; i++)
            batch.Caches[i].Advance(batch.Tokens.Slice(batch.Queries[i].Rows.Start, batch.Queries[i].Rows.Length));
        return hidden;
    }

    /// <summary>Every stored matrix once, with its full name (without <c>.weight</c>), in the order in which they compute; a tied head does not count.</summary>
    public IEnumerable<(string Name, MatrixLayer Layer)> Matrices() =>
        Walk().Where(part => part.Layer is MatrixLayer).Select(part => (part.Name, (MatrixLayer)part.Layer));

    /// <summary>Every float32 vector with its full checkpoint name.</summary>
    public IEnumerable<(string Name, Tensor Vector)> AllVectors() =>
        Walk().SelectMany(part => part.Layer.Vectors.Select(vector => ($"{part.Name}.{vector.Name}", vector.Vector)));

    /// <summary>How many numbers the model has.</summary>
    public long ParameterCount => Matrices().Sum(part => (long)part.Layer.Weight.Shape.Length) + AllVectors().Sum(part => (long)part.Vector.Shape.Length);

    /// <summary>Bytes of all matrices as they are stored, and of the vectors at four bytes a number.</summary>
    public long ByteCount => Matrices().Sum(part => part.Layer.Weight.ByteCount) + AllVectors().Sum(part => 4L * part.Vector.Shape.Length);

    /// <summary>Stored bits a parameter, everything included.</summary>
    public double BitsPerWeight => 8.0 * ByteCount / ParameterCount;

    private protected Tensor Hidden(Batch batch, ForwardContext context)
    {
        Check(batch);
        return Blockwise(Embed(batch, context), batch, context);
    }

    static Tensor Settled(TransformerBlock block, Tensor hidden, Batch batch, int index, ForwardContext context)
    {
        int mark = context.Arena.Mark;
        block.Forward(hidden, batch, index, context).Data.CopyTo(hidden.Data);
        context.Arena.Release(mark);
        return hidden;
    }

    private protected void Check(Batch batch)
    {
        for (int i = 0; i < batch.Sequences.Length; i++)
        {
            int past = batch.Caches.IsEmpty ? 0 : batch.Queries[i].Past, length = batch.Sequences.Span[i].Length;
            if (past + length > ContextLength)
                throw new CoppiceException($"{past + length} tokens in a sequence, the model's context holds {ContextLength}");
            if (!batch.Caches.IsEmpty && batch.Caches[i].Length != past)
                throw new ArgumentException($"Model: a cache of {batch.Caches[i].Length} tokens had {past} when it was put into the batch");
        }
    }
}

using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What a pass with a tape keeps of each block for its way back.</summary>
public enum KeptActivations
{
    /// <summary>Every result that the way back reads, as it is: the fastest.</summary>
    All,

    /// <summary>
    /// What enters a matrix, values and gates as bfloat16, which leaves a number at most 2^-9 of itself off; queries and keys, whose products an exponential enlarges, the stream
    /// from block to block and the norms' statistics as they are. A step has the same loss; its gradients are off by some thousandths.
    /// </summary>
    BFloat16,

    /// <summary>A block's input alone; the block is computed a second time on the way back (Chen et al. 2016). The same gradients, bit for bit, for about a fifth more work and a fraction of the memory.</summary>
    BlockInputs,
}

/// <summary>A block that keeps nothing but its input, and computes the rest again when its gradients are due.</summary>
static class CheckpointedBlock
{
    /// <summary>x [tokens, width] to the same.</summary>
    public static Tensor Apply(ForwardContext context, TransformerBlock block, Tensor x, Batch batch, int index)
    {
        Tensor y = context.Result(x.Shape, differentiable: true);
        Tape tape = context.Tape!;
        int mark = context.Arena.Mark, first = tape.Mark;
        block.Forward(x, batch, index, context).Data.CopyTo(y.Data);
        tape.Forget(first);
        context.Arena.Release(mark);
        tape.Record<Node>(y).Set(context, block, x, batch, index, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        ForwardContext context = null!;
        TransformerBlock block = null!;
        Tensor x = null!, y = null!;
        Batch batch = null!;
        int index;

        public void Set(ForwardContext context, TransformerBlock block, Tensor x, Batch batch, int index, Tensor y) =>
            (this.context, this.block, this.x, this.batch, this.index, this.y) = (context, block, x, batch, index, y);

        public override void Backward()
        {
            Tape tape = context.Tape!;
            int mark = context.Arena.Mark, first = tape.Mark;
            Tensor again = block.Forward(x, batch, index, context);
            y.TryMoveGradient(again);
            tape.BackwardTo(first);
            context.Arena.Release(mark);
        }
    }
}

using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What a pass with a tape keeps of each block for its way back.</summary>
public enum KeptActivations
{
    /// <summary>Every result: the fastest.</summary>
    All,

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
        Tape tape = context.Pause()!;
        int mark = context.Arena.Mark;
        try
        {
            block.Forward(x, batch, index, context).Data.CopyTo(y.Data);
        }
        finally
        {
            context.Arena.Release(mark);
            context.Resume(tape);
        }
        tape.Record<Node>().Set(context, block, x, batch, index, y);
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
            if (again.RequiresGrad)
                again.ShareGradient(y);
            tape.BackwardTo(first);
            context.Arena.Release(mark);
        }
    }
}

namespace Coppice.Tensors;

/// <summary>What the operations of one forward pass left for the backward pass, in order. It is passed in, never ambient.</summary>
public sealed class Tape
{
    readonly List<TapeNode> nodes = [];
    int count;

    /// <summary>A node of the wanted kind for its operation to fill; nodes of an earlier pass are used again, so a second equal pass allocates nothing.</summary>
    public TNode Record<TNode>() where TNode : TapeNode, new()
    {
        if (count == nodes.Count)
            nodes.Add(new TNode());
        else if (nodes[count] is not TNode)
            nodes[count] = new TNode();
        return (TNode)nodes[count++];
    }

    /// <summary>Adds d(loss)/d(leaf) to the gradient of every leaf that tracks one. <paramref name="loss"/> has one element.</summary>
    public void Backward(Tensor loss)
    {
        if (loss.Shape.Length != 1 || loss.Grad is null)
            throw new InvalidOperationException($"Tape: backward from {loss.Shape}, wanted one element computed from a leaf that tracks its gradient");
        loss.Grad.Data[0] = 1;
        for (int i = count - 1; i >= 0; i--)
            nodes[i].Backward();
    }

    /// <summary>Operations recorded.</summary>
    internal int Mark => count;

    /// <summary>Goes back over what was recorded since <paramref name="mark"/>, and forgets it: for an operation that computes itself again in its own backward pass.</summary>
    internal void BackwardTo(int mark)
    {
        for (int i = count - 1; i >= mark; i--)
            nodes[i].Backward();
        count = mark;
    }

    /// <summary>Forgets the pass.</summary>
    public void Clear() => count = 0;
}

/// <summary>One operation's part of the backward pass.</summary>
public abstract class TapeNode
{
    /// <summary>Adds this operation's share to the gradients of its inputs.</summary>
    public abstract void Backward();
}

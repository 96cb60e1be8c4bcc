using System.Runtime.InteropServices;

namespace Coppice.Tensors;

/// <summary>What the operations of one forward pass left for the backward pass, in order. It is passed in, never ambient.</summary>
public sealed class Tape
{
    readonly List<TapeNode> nodes = [];
    readonly Dictionary<Type, Stack<TapeNode>> spare = [];

    /// <summary>A node of the wanted kind for its operation to fill; nodes that were forgotten are used again, so a second equal pass allocates nothing.</summary>
    /// <param name="result">The tensor that the operation made: it is needed no more once the way back has passed the operation. None where it changed one in place, or made what callers read.</param>
    public TNode Record<TNode>(Tensor? result = null) where TNode : TapeNode, new()
    {
        TNode node = Spare(typeof(TNode)).TryPop(out TapeNode? used) ? (TNode)used : new TNode();
        node.Result = result;
        nodes.Add(node);
        return node;
    }

    /// <summary>Adds d(loss)/d(leaf) to the gradient of every leaf that tracks one, and forgets the pass. <paramref name="loss"/> has one element.</summary>
    public void Backward(Tensor loss)
    {
        if (loss.Shape.Length != 1 || loss.Grad is null)
            throw new InvalidOperationException($"Tape: backward from {loss.Shape}, wanted one element computed from a leaf that tracks its gradient");
        loss.Grad.Data[0] = 1;
        BackwardTo(0);
    }

    /// <summary>Operations recorded.</summary>
    internal int Mark => nodes.Count;

    /// <summary>Goes back over what was recorded since <paramref name="mark"/>, and forgets it: for an operation that computes itself again in its own backward pass.</summary>
    internal void BackwardTo(int mark)
    {
        for (int i = nodes.Count - 1; i >= mark; i--)
        {
            nodes[i].Backward();
            nodes[i].Result?.GiveBack();
        }
        Forget(mark);
    }

    /// <summary>Forgets what was recorded since <paramref name="mark"/>, results and all.</summary>
    internal void Forget(int mark)
    {
        for (int i = nodes.Count - 1; i >= mark; i--)
        {
            nodes[i].Result?.GiveBack();
            Spare(nodes[i].GetType()).Push(nodes[i]);
            nodes.RemoveAt(i);
        }
    }

    /// <summary>Forgets the pass.</summary>
    public void Clear() => Forget(0);

    Stack<TapeNode> Spare(Type kind) => CollectionsMarshal.GetValueRefOrAddDefault(spare, kind, out _) ??= new Stack<TapeNode>();
}

/// <summary>One operation's part of the backward pass.</summary>
public abstract class TapeNode
{
    /// <summary>What the operation made, until the way back has passed it.</summary>
    internal Tensor? Result { get; set; }

    /// <summary>Adds this operation's share to the gradients of its inputs.</summary>
    public abstract void Backward();
}

using System.Numerics.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>Cross-entropy beside the divergence from another model's outputs (Hinton et al. 2015).</summary>
static class SoftTargets
{
    /// <summary>
    /// The sum over scored rows of (1 - share) nats of the target + share T^2 KL(softmax(soft / T) || softmax(logits / T)), divided by <paramref name="divisor"/>, as a tensor of one element;
    /// logits and soft [rows, vocabulary], one target a row. The logits are on a tape, and used up.
    /// </summary>
    public static Tensor Apply(ComputeContext context, Tensor logits, Tensor soft, ReadOnlyMemory<int> targets, SoftTargetsSettings settings, double divisor)
    {
        if (soft.Shape != logits.Shape || targets.Length != logits.Shape.Rows)
            throw new ArgumentException($"SoftTargets: logits {logits.Shape}, soft targets {soft.Shape}, {targets.Length} targets");
        if (!context.Records(logits))
            throw new ArgumentException("SoftTargets: the logits are not on a tape");
        Tensor loss = context.Result([1], differentiable: true);
        Node node = context.Tape!.Record<Node>();
        Span<double> losses = node.Room(targets.Length);
        Simd.SoftTargets.LossAndGradient(context.Pool, logits.Data, soft.Data, targets.Span, settings, (float)(1 / divisor), losses);
        logits.TurnIntoGradient();
        node.Set(logits, loss);
        double sum = 0;
        foreach (double row in losses)
            sum += row;
        loss.Data[0] = (float)(sum / divisor);
        return loss;
    }

    sealed class Node : TapeNode
    {
        double[] losses = [];
        Tensor logits = null!, loss = null!;

        public Span<double> Room(int rows)
        {
            if (losses.Length < rows)
                losses = new double[rows];
            return losses.AsSpan(0, rows);
        }

        public void Set(Tensor logits, Tensor loss) => (this.logits, this.loss) = (logits, loss);

        // The forward pass left the gradient in place of the logits, but for the loss's own.
        public override void Backward()
        {
            if (loss.Grad!.Data[0] != 1)
                TensorPrimitives.Multiply(logits.Data, loss.Grad.Data[0], logits.Data);
        }
    }
}

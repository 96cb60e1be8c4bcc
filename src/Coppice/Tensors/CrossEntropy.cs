using System.Numerics.Tensors;

namespace Coppice.Tensors;

/// <summary>The negative log-likelihood of target ids under softmax(logits).</summary>
public static class CrossEntropy
{
    /// <summary>The target of a row that is not scored.</summary>
    public const int Ignored = Simd.CrossEntropy.Ignored;

    static readonly WorkerPool Caller = new(threads: 1);

    /// <summary>Nats of one row: log(sum(exp(logits))) - logits[target].</summary>
    public static double Row(ReadOnlySpan<float> logits, int target)
    {
        double nats = 0;
        Simd.CrossEntropy.Loss(Caller, logits, [target], new Span<double>(ref nats));
        return nats;
    }

    /// <summary>The sum of the scored rows' nats divided by <paramref name="divisor"/>, as a tensor of one element; logits [rows, vocabulary], one target a row. With a tape, the logits are used up.</summary>
    internal static Tensor Apply(ComputeContext context, Tensor logits, ReadOnlyMemory<int> targets, double divisor)
    {
        if (targets.Length != logits.Shape.Rows)
            throw new ArgumentException($"CrossEntropy: {targets.Length} targets for logits {logits.Shape}");
        bool records = context.Records(logits);
        Tensor loss = context.Result([1], records);
        Node? node = records ? context.Tape!.Record<Node>() : null;
        Span<double> nats = node is null ? new double[targets.Length] : node.Room(targets.Length);
        if (node is null)
            Simd.CrossEntropy.Loss(context.Pool, logits.Data, targets.Span, nats);
        else
        {
            Simd.CrossEntropy.LossAndGradient(context.Pool, logits.Data, targets.Span, (float)(1 / divisor), nats);
            logits.TurnIntoGradient();
            node.Set(logits, loss);
        }
        double sum = 0;
        foreach (double row in nats)
            sum += row;
        loss.Data[0] = (float)(sum / divisor);
        return loss;
    }

    sealed class Node : TapeNode
    {
        double[] nats = [];
        Tensor logits = null!, loss = null!;

        public Span<double> Room(int rows)
        {
            if (nats.Length < rows)
                nats = new double[rows];
            return nats.AsSpan(0, rows);
        }

        public void Set(Tensor logits, Tensor loss) => (this.logits, this.loss) = (logits, loss);

        // The forward pass left softmax - target, over the divisor, in place of the logits: their gradient, but for the loss's own.
        public override void Backward()
        {
            if (loss.Grad!.Data[0] != 1)
                TensorPrimitives.Multiply(logits.Data, loss.Grad.Data[0], logits.Data);
        }
    }
}

using Coppice.Tensors;

namespace Coppice.Training.Sparse;

/// <summary>Sparse from the first step to the last: now and then the smallest abs(w) go and as many come back, at 0, where the gradient is largest (Evci et al. 2020). A dense model starts with its largest weights.</summary>
public sealed record RigL : SparseTraining
{
    /// <summary>The share of what is kept that is exchanged at first; it falls to 0 as a cosine until <see cref="SparseTraining.End"/>.</summary>
    public double Fraction { get; init; } = 0.3;

    /// <summary>The share that is exchanged at a step: fraction / 2 (1 + cos(pi step / last)).</summary>
    public static double FractionAt(int step, int last, double fraction) => step >= last ? 0 : fraction / 2 * (1 + Math.Cos(Math.PI * step / last));

    /// <summary>Takes the <paramref name="exchanged"/> smallest kept weights out of the mask and puts as many in where the gradient is largest, of those that are out and those that just went. <paramref name="scores"/> is scratch; all of one length.</summary>
    public static void Exchange(ReadOnlySpan<float> weights, ReadOnlySpan<float> gradients, int exchanged, Span<float> mask, Span<float> scores)
    {
        int kept = mask.Length - mask.Count(0f);
        for (int i = 0; i < mask.Length; i++)
            scores[i] = mask[i] != 0 ? Math.Abs(weights[i]) : -1;
        HighestScores.Mark(scores, kept - exchanged, mask);
        for (int i = 0; i < mask.Length; i++)
            scores[i] = mask[i] != 0 ? float.MaxValue : Math.Abs(gradients[i]);
        HighestScores.Mark(scores, kept, mask);
    }

    internal override void Validate(int steps)
    {
        base.Validate(steps);
        Check(Fraction is >= 0 and < 1, "exchanged fraction", Fraction, "0 to 1, exclusive");
    }

    internal override Pruner Create(Optimizer optimizer, IReadOnlyList<int> pruned, TrainingOptions options) => new Regrowth(optimizer, pruned, this, options.Steps);

    sealed class Regrowth : Pruner
    {
        readonly RigL options;
        readonly int last;
        readonly float[] scores;

        public Regrowth(Optimizer optimizer, IReadOnlyList<int> pruned, RigL options, int steps) : base(optimizer, pruned)
        {
            (this.options, last) = (options, options.LastChange(steps));
            scores = new float[pruned.Max(place => optimizer.Parameters[place].Tensor.Shape.Length)];
        }

        public override void Before(int step)
        {
            if (step != 0)
                return;
            for (int i = 0; i < Count; i++)
            {
                Span<float> sizes = scores.AsSpan(0, At(i).Tensor.Data.Length);
                System.Numerics.Tensors.TensorPrimitives.Abs<float>(At(i).Tensor.Data, sizes);
                HighestScores.Mark(sizes, Kept(sizes.Length, options.Sparsity), At(i).Mask!.Data);
                Clear(i);
            }
        }

        public override void Gradients(int step)
        {
            if (step == 0 || step >= last || step % options.Every != 0)
                return;
            for (int i = 0; i < Count; i++)
            {
                Tensor weights = At(i).Tensor, mask = At(i).Mask!;
                int exchanged = (int)(FractionAt(step, last, options.Fraction) * (mask.Data.Length - mask.Data.Count(0f)));
                Exchange(weights.Data, weights.Grad!.Data, exchanged, mask.Data, scores.AsSpan(0, mask.Data.Length));
                Clear(i);
            }
        }
    }
}

using System.Numerics.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training.Sparse;

/// <summary>Drops the smallest abs(w) a few at a time: the share rises fast at first and ever slower (Zhu and Gupta 2017).</summary>
public sealed record GradualMagnitude : SparseTraining
{
    /// <summary>The sparsity at a step: final + (initial - final)(1 - step / last)^3 (Zhu and Gupta 2017, eq. 1).</summary>
    public static double Cubic(int step, int last, double initial, double final)
    {
        double left = step >= last ? 0 : 1 - (double)step / last;
        return final + (initial - final) * left * left * left;
    }

    internal override Pruner Create(Optimizer optimizer, IReadOnlyList<int> pruned, TrainingOptions options) => new Schedule(optimizer, pruned, this, options.Steps);

    sealed class Schedule(Optimizer optimizer, IReadOnlyList<int> pruned, GradualMagnitude options, int steps) : Pruner(optimizer, pruned)
    {
        readonly int last = options.LastChange(steps);
        float[] scores = [];

        public override void Before(int step)
        {
            if (step > last || step != last && step % options.Every != 0)
                return;
            for (int i = 0; i < Count; i++)
            {
                Tensor weights = At(i).Tensor;
                if (scores.Length < weights.Data.Length)
                    scores = new float[weights.Data.Length];
                Span<float> sizes = scores.AsSpan(0, weights.Data.Length);
                TensorPrimitives.Abs<float>(weights.Data, sizes);
                HighestScores.Mark(sizes, Kept(sizes.Length, Cubic(step, last, 0, options.Sparsity)), At(i).Mask!.Data);
                Clear(i);
            }
        }
    }
}

using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training.Sparse;

/// <summary>Drops the weights that training moves towards 0: scores are the sum over steps of -w dL/dw, and the share that goes rises as a cubic (Sanh et al. 2020). What went keeps its value and score, and comes back when others score lower.</summary>
public sealed record Movement : SparseTraining
{
    /// <summary>One step: what is pruned counts with the value that it had when it went, which <paramref name="values"/> keeps. All of one length; the mask has ones and zeros.</summary>
    public static void Accumulate(ReadOnlySpan<float> weights, ReadOnlySpan<float> gradients, ReadOnlySpan<float> mask, Span<float> values, Span<float> scores)
    {
        for (int i = 0; i < weights.Length; i++)
        {
            if (mask[i] != 0)
                values[i] = weights[i];
            scores[i] -= values[i] * gradients[i];
        }
    }

    internal override Pruner Create(Optimizer optimizer, IReadOnlyList<int> pruned, TrainingOptions options) => new Scores(optimizer, pruned, this, options.Steps);

    sealed class Scores : Pruner
    {
        readonly Movement options;
        readonly int last;
        readonly Tensor[] scores, values;

        public Scores(Optimizer optimizer, IReadOnlyList<int> pruned, Movement options, int steps) : base(optimizer, pruned)
        {
            (this.options, last, scores, values) = (options, options.LastChange(steps), Beside(), Beside());
            // What was pruned before the run has no value to come back with.
            for (int i = 0; i < Count; i++)
                for (int j = 0; j < scores[i].Data.Length; j++)
                    if (At(i).Mask!.Data[j] == 0)
                        scores[i].Data[j] = float.MinValue;
        }

        public override IEnumerable<(string Name, Tensor Tensor)> State => [.. Named("movement.scores.", scores), .. Named("movement.values.", values)];

        public override void Gradients(int step)
        {
            if (step > last)
                return;
            for (int i = 0; i < Count; i++)
                Accumulate(At(i).Tensor.Data, At(i).Tensor.Grad!.Data, At(i).Mask!.Data, values[i].Data, scores[i].Data);
        }

        // Before the first step nothing is known.
        public override void After(int step, double rate)
        {
            if (step > last || step != last && (step + 1) % options.Every != 0)
                return;
            for (int i = 0; i < Count; i++)
            {
                Span<float> weights = At(i).Tensor.Data, mask = At(i).Mask!.Data, kept = values[i].Data;
                for (int j = 0; j < weights.Length; j++)
                    if (mask[j] != 0)
                        kept[j] = weights[j];
                HighestScores.Mark(scores[i].Data, Kept(mask.Length, GradualMagnitude.Cubic(step, last, 0, options.Sparsity)), mask);
                kept.CopyTo(weights);
                Clear(i);
            }
        }
    }
}

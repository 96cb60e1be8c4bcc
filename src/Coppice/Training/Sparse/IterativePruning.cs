using System.Numerics.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training.Sparse;

/// <summary>
/// Rounds of pruning the smallest abs(w) and training what is left, each round with the learning rate's whole schedule (Han et al. 2015). With <see cref="Rewind"/> a first round trains all, and each
/// later one starts from the weights of an early step: a lottery ticket (Frankle and Carbin 2019; Frankle et al. 2020).
/// </summary>
public sealed record IterativePruning : SparseTraining
{
    /// <summary>How often is pruned. After round r of R the share kept is (1 - sparsity)^(r / R): each takes the same share of what is left.</summary>
    public int Rounds { get; init; } = 3;

    /// <summary>The step, 0-based, to whose weights every pruned round goes back; null goes on from what was trained.</summary>
    public int? Rewind { get; init; }

    /// <summary>Rounds of training.</summary>
    public int TrainedRounds => Rewind is null ? Rounds : Rounds + 1;

    /// <summary>The sparsity of a round of training, 0-based.</summary>
    public double SparsityIn(int round) => 1 - Math.Pow(1 - Sparsity, (double)(Rewind is null ? round + 1 : round) / Rounds);

    /// <summary>The round of a step, the step's place in it and the round's length.</summary>
    public (int Round, int Step, int Steps) Place(int step, int steps)
    {
        int round = TrainedRounds - 1;
        while (Start(round) > step)
            round--;
        return (round, step - Start(round), Start(round + 1) - Start(round));

        int Start(int r) => (int)((long)steps * r / TrainedRounds);
    }

    internal override void Validate(int steps)
    {
        base.Validate(steps);
        Check(Rounds >= 1 && TrainedRounds <= steps, "rounds", Rounds, $"1 or more, and no more than the {steps} steps can hold");
        Check(Rewind is null or >= 0 && (Rewind ?? 0) < steps / TrainedRounds, "the step to rewind to", Rewind ?? 0, $"one of the first round's {steps / TrainedRounds}");
    }

    internal override Pruner Create(Optimizer optimizer, IReadOnlyList<int> pruned, TrainingOptions options) => new RoundByRound(optimizer, pruned, this, options.Steps);

    sealed class RoundByRound(Optimizer optimizer, IReadOnlyList<int> pruned, IterativePruning options, int steps) : Pruner(optimizer, pruned)
    {
        readonly Tensor[] early = options.Rewind is null ? [] : [.. optimizer.Parameters.Select(parameter => new Tensor(parameter.Tensor.Shape))];
        float[] scores = [];

        public override IEnumerable<(string Name, Tensor Tensor)> State => early.Select((tensor, i) => ("rewind." + Optimizer.Parameters[i].Name, tensor));

        public override void Before(int step)
        {
            if (step == options.Rewind)
                for (int i = 0; i < early.Length; i++)
                    Optimizer.Parameters[i].Tensor.Data.CopyTo(early[i].Data);
            (int round, int place, _) = options.Place(step, steps);
            if (place != 0 || options.SparsityIn(round) == 0)
                return;
            for (int i = 0; i < Count; i++)
            {
                Tensor weights = At(i).Tensor;
                if (scores.Length < weights.Data.Length)
                    scores = new float[weights.Data.Length];
                Span<float> sizes = scores.AsSpan(0, weights.Data.Length);
                TensorPrimitives.Abs<float>(weights.Data, sizes);
                HighestScores.Mark(sizes, Kept(sizes.Length, options.SparsityIn(round)), At(i).Mask!.Data);
            }
            for (int i = 0; i < early.Length; i++)
            {
                early[i].Data.CopyTo(Optimizer.Parameters[i].Tensor.Data);
                Optimizer.Parameters[i].Tensor.MarkChanged();
            }
            Optimizer.Clear();
            for (int i = 0; i < Count; i++)
                Clear(i);
        }
    }
}

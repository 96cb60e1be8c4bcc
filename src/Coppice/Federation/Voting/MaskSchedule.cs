using Coppice.Compression;
using Coppice.Tensors;
using Coppice.Training.Sparse;

namespace Coppice.Federation.Voting;

/// <summary>When a run's masks change, and by how much: those of training in one place (<see cref="RigL"/>, <see cref="GradualMagnitude"/>), at the ends of rounds.</summary>
static class MaskSchedule
{
    /// <summary>What clients are asked in a round.</summary>
    /// <remarks>
    /// RigL begins with the first round, in which matrices are still whole: what most clients would keep of them stays. Its exchanges, and gradual pruning's changes, come at the end of each round within which a multiple of
    /// <see cref="SparseTraining.Every"/> steps is reached, until <see cref="SparseTraining.End"/>.
    /// </remarks>
    public static LocalMasks Ask(SparseTraining pruning, int round, int rounds, int localSteps, ParameterSet masks)
    {
        string[] names = [.. masks.Tensors.Keys];
        int last = pruning.LastChange(rounds * localSteps), step = round * localSteps;
        bool isDue = step / pruning.Every > (step - localSteps) / pruning.Every && step < last;
        (bool changes, double sparsity, double exchange) = pruning switch
        {
            RigL rigl => (round == 1 || isDue, rigl.Sparsity, round == 1 ? 0 : RigL.FractionAt(step, last, rigl.Fraction)),
            _ => (isDue || step >= last && step - localSteps < last, GradualMagnitude.Cubic(step, last, 0, pruning.Sparsity), 0.0),
        };
        if (!changes)
            return new LocalMasks(names, [], []);
        (int Keep, int Grow)[] counts = [.. masks.Tensors.Values.Select(mask => Counts(mask, sparsity, exchange))];
        return new LocalMasks(names, [.. counts.Select(count => count.Keep)], [.. counts.Select(count => count.Grow)]);
    }

    /// <summary>A method and its options in a few words.</summary>
    public static string NameOf(SparseTraining pruning) => string.Join(' ', FineTunePruning.Options(pruning).Select(option => option.Value));

    static (int Keep, int Grow) Counts(Tensor mask, double sparsity, double exchange)
    {
        int kept = SparseTraining.Kept(mask.Shape.Length, sparsity), active = mask.Shape.Length - mask.Data.Count(0f);
        int keep = Math.Min(active, kept - (int)(exchange * kept));
        return (keep, Math.Min(kept - keep, mask.Shape.Length - active));
    }
}

using System.Numerics.Tensors;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training.Sparse;

/// <summary>What goes to 0 together.</summary>
public enum PenaltyGroups
{
    /// <summary>Each number by itself: L1.</summary>
    Numbers,

    /// <summary>The numbers of one output: group lasso over rows.</summary>
    Rows,

    /// <summary>The numbers of one input: group lasso over columns.</summary>
    Columns,
}

/// <summary>
/// Adds strength * ||w||_1, or strength * sqrt(n) ||w_g||_2 over groups of n, to the loss by a proximal step after each of the optimizer's (Parikh and Boyd 2014, 6.5). A matrix whose share of zeros
/// has reached the sparsity, or the run <see cref="SparseTraining.End"/>, is cut to it by size; from then on it trains without the penalty.
/// </summary>
public sealed record Proximal : SparseTraining
{
    /// <summary>The penalty a unit of weight; a step draws each number nearer to 0 by rate * strength.</summary>
    public double Strength { get; init; } = 0.3;

    /// <summary>What goes to 0 together.</summary>
    public PenaltyGroups Groups { get; init; }

    /// <summary>w = sign(w) max(abs(w) - threshold, 0).</summary>
    public static void SoftThreshold(float threshold, Span<float> weights)
    {
        foreach (ref float weight in weights)
            weight = Math.Abs(weight) <= threshold ? 0 : weight - MathF.CopySign(threshold, weight);
    }

    /// <summary>The 2-norm of each row, or of each column, of weights [rows, columns]; <paramref name="norms"/> is as long as there are.</summary>
    public static void Norms(ReadOnlySpan<float> weights, int columns, PenaltyGroups groups, Span<float> norms)
    {
        norms.Clear();
        for (int row = 0; row < weights.Length / columns; row++)
        {
            ReadOnlySpan<float> numbers = weights.Slice(row * columns, columns);
            if (groups == PenaltyGroups.Rows)
                norms[row] = TensorPrimitives.SumOfSquares(numbers);
            else
                TensorPrimitives.MultiplyAdd(numbers, numbers, norms, norms);
        }
        TensorPrimitives.Sqrt(norms, norms);
    }

    /// <summary>Multiplies each row, or each column, of weights [rows, columns] by its factor.</summary>
    public static void Scale(ReadOnlySpan<float> factors, int columns, PenaltyGroups groups, Span<float> weights)
    {
        for (int row = 0; row < weights.Length / columns; row++)
        {
            Span<float> numbers = weights.Slice(row * columns, columns);
            if (groups == PenaltyGroups.Rows)
                TensorPrimitives.Multiply(numbers, factors[row], numbers);
            else
                TensorPrimitives.Multiply(numbers, factors, numbers);
        }
    }

    internal override void Validate(int steps)
    {
        base.Validate(steps);
        Check(Strength > 0 && double.IsFinite(Strength), "strength", Strength, "above 0");
    }

    internal override Pruner Create(Optimizer optimizer, IReadOnlyList<int> pruned, TrainingOptions options) => new Shrinkage(optimizer, pruned, this, options.Steps);

    sealed class Shrinkage : Pruner
    {
        readonly Proximal options;
        readonly int last;
        readonly float[] numbers, groups, marks;

        public Shrinkage(Optimizer optimizer, IReadOnlyList<int> pruned, Proximal options, int steps) : base(optimizer, pruned)
        {
            (this.options, last) = (options, options.LastChange(steps));
            int most = pruned.Max(place => Math.Max(optimizer.Parameters[place].Tensor.Shape[0], optimizer.Parameters[place].Tensor.Shape[1]));
            (groups, marks) = (new float[most], new float[most]);
            numbers = options.Groups == PenaltyGroups.Numbers ? new float[pruned.Max(place => optimizer.Parameters[place].Tensor.Shape.Length)] : [];
        }

        public override void After(int step, double rate)
        {
            if (step > last)
                return;
            float threshold = (float)(rate * options.Strength);
            for (int i = 0; i < Count; i++)
            {
                Tensor weights = At(i).Tensor, mask = At(i).Mask!;
                if (mask.Data.Length - mask.Data.Count(0f) <= Kept(mask.Data.Length, options.Sparsity))
                    continue;
                if (options.Groups == PenaltyGroups.Numbers)
                    Shrink(weights.Data, threshold, step == last, mask.Data);
                else
                    ShrinkGroups(weights, threshold, step == last, mask.Data);
                Clear(i);
            }
        }

        void Shrink(Span<float> weights, float threshold, bool cut, Span<float> mask)
        {
            SoftThreshold(threshold, weights);
            int kept = Kept(weights.Length, options.Sparsity);
            if (!cut && weights.Length - weights.Count(0f) > kept)
                return;
            Span<float> sizes = numbers.AsSpan(0, weights.Length);
            TensorPrimitives.Abs(weights, sizes);
            HighestScores.Mark(sizes, kept, mask);
        }

        void ShrinkGroups(Tensor weights, float threshold, bool cut, Span<float> mask)
        {
            (int rows, int columns) = (weights.Shape[0], weights.Shape[1]);
            bool byRows = options.Groups == PenaltyGroups.Rows;
            Span<float> factors = groups.AsSpan(0, byRows ? rows : columns);
            threshold *= MathF.Sqrt(byRows ? columns : rows);
            Norms(weights.Data, columns, options.Groups, factors);
            foreach (ref float factor in factors)
                factor = factor <= threshold ? 0 : 1 - threshold / factor;
            Scale(factors, columns, options.Groups, weights.Data);
            int kept = Kept(factors.Length, options.Sparsity);
            if (!cut && factors.Length - factors.Count(0f) > kept)
                return;
            // A larger norm has the larger factor.
            Span<float> chosen = marks.AsSpan(0, factors.Length);
            HighestScores.Mark(factors, kept, chosen);
            Scale(chosen, columns, options.Groups, mask);
        }
    }
}

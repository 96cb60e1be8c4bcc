using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Prune;

/// <summary>How a pruning step's sparsity is spread over its matrices.</summary>
public enum SparsityAllocation
{
    /// <summary>Each loses the same share.</summary>
    Uniform,

    /// <summary>One threshold over all scores, each matrix's divided by their mean.</summary>
    Global,

    /// <summary>OWL: blocks with more outliers among their scores lose less (Yin et al. 2023).</summary>
    Owl,

    /// <summary>The least sum of output errors, each matrix's predicted from the norms of its inputs.</summary>
    Sensitivity,

    /// <summary>The least sum of KL divergences, each block's measured with that block alone pruned.</summary>
    Kl,
}

/// <summary>Spreads a step's sparsity over its matrices before they are pruned, from what the model is like then. Scores are Wanda's, or for <see cref="Magnitude"/> by itself abs(w).</summary>
internal static class Allocator
{
    // Shares at which an error is looked at; between them it is taken to lie on a line. KL costs a pass over the model each, and is looked at around the share that is wanted.
    static readonly double[] errorShares = [.. Enumerable.Range(0, 41).Select(i => i / 40.0)], klSteps = [-0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2];

    // Tokens whose logits are kept to compare with.
    const int KlTokens = 1024;

    /// <summary>The share of each of the step's matrices that goes, by name. With <see cref="SparsityAllocation.Global"/> it takes 4 bytes a weight of theirs while it runs, with <see cref="SparsityAllocation.Kl"/> the whole model.</summary>
    public static Dictionary<string, double> Shares(PruneStep step, WholeModel whole)
    {
        IReadOnlyList<(string Name, MatrixLayer Layer)> matrices = whole.Matrices;
        int[] sizes = [.. matrices.Select(matrix => matrix.Layer.Weight.Shape.Length)];
        Dictionary<string, float[]>? norms = step.ReadsInputs ? InputNorms.Gather(whole, [.. whole.Sequences]) : null;
        double[] shares = step.Allocation switch
        {
            SparsityAllocation.Global => Allocation.Global([.. matrices.Select(Scores)], step.Sparsity),
            SparsityAllocation.Sensitivity => Allocation.Sensitivity(sizes, [.. matrices.Select(matrix => ErrorCurve(Scores(matrix)))], step.Sparsity),
            SparsityAllocation.Owl => ByOutliers(),
            SparsityAllocation.Kl => ByKl(),
            _ => Allocation.Uniform(sizes, step.Sparsity),
        };
        return matrices.Zip(shares).ToDictionary(pair => pair.First.Name, pair => pair.Second);

        float[] Scores((string Name, MatrixLayer Layer) matrix)
        {
            float[] weights = matrix.Layer.Weight.ToDense(), scores = new float[weights.Length];
            if (norms is null)
                TensorPrimitives.Abs<float>(weights, scores);
            else
                Wanda.Score(weights, norms[matrix.Name], scores);
            return scores;
        }

        double[] ByOutliers()
        {
            var blocks = matrices.GroupBy(matrix => BlockOf(matrix.Name)).ToList();
            double[] ratios = [.. blocks.Select(block => Allocation.OutlierRatio([.. block.SelectMany(Scores)]))];
            return Spread(blocks, Allocation.OutlierWeighted([.. blocks.Select(block => block.Sum(matrix => matrix.Layer.Weight.Shape.Length))], ratios, step.Sparsity));
        }

        double[] Spread(List<IGrouping<string, (string Name, MatrixLayer Layer)>> blocks, double[] blockShares)
        {
            Dictionary<string, double> byBlock = blocks.Zip(blockShares).ToDictionary(pair => pair.First.Key, pair => pair.Second);
            return [.. matrices.Select(matrix => byBlock[BlockOf(matrix.Name)])];
        }

        double[] ByKl()
        {
            Residence residence = Residence.Of(whole.Model.Matrices().Select(matrix => matrix.Layer));
            try
            {
                var blocks = matrices.GroupBy(matrix => BlockOf(matrix.Name)).ToList();
                KlSlice slice = new(whole.Model, whole.Sequences, KlTokens, whole.Pool);
                List<(double Share, double Error)[]> curves = [];
                foreach (var block in blocks)
                {
                    Weight[] before = [.. block.Select(matrix => matrix.Layer.Weight)];
                    float[][] scores = [.. block.Select(Scores)];
                    List<(double Share, double Error)> curve = [(0, 0)];
                    try
                    {
                        foreach (double share in klSteps.Select(by => Math.Clamp(step.Sparsity + by, 0.01, 0.99)).Distinct())
                        {
                            whole.Cancel.ThrowIfCancellationRequested();
                            foreach (((_, MatrixLayer layer), int i) in block.Select((matrix, i) => (matrix, i)))
                                layer.Weight = Masked(before[i], Pruning.Rows(whole.Pool, scores[i], before[i].Columns, share, null));
                            curve.Add((share, slice.Of(whole.Model, whole.Cancel).Value));
                        }
                    }
                    finally
                    {
                        foreach (((_, MatrixLayer layer), int i) in block.Select((matrix, i) => (matrix, i)))
                            layer.Weight = before[i];
                    }
                    curves.Add([.. curve]);
                }
                return Spread(blocks, Allocation.Sensitivity([.. blocks.Select(block => block.Sum(matrix => matrix.Layer.Weight.Shape.Length))], curves, step.Sparsity));
            }
            finally
            {
                residence.Leave();
            }
        }
    }

    /// <summary>What the outputs lose when the lowest scores go, with inputs that do not correlate: the sum of their squares over that of all, once for each weight, so that a large matrix counts as several small ones.</summary>
    internal static (double Share, double Error)[] ErrorCurve(float[] scores)
    {
        float[] sorted = [.. scores];
        sorted.AsSpan().Sort();
        double all = TensorPrimitives.SumOfSquares<float>(sorted);
        return [.. errorShares.Select(share => (share, all == 0 ? 0 : sorted.Length * (double)TensorPrimitives.SumOfSquares<float>(sorted.AsSpan(0, Pruning.CountOf(sorted.Length, share))) / all))];
    }

    // "model.layers.3.mlp.up_proj" -> "model.layers.3"; what lies outside is by itself.
    static string BlockOf(string name)
    {
        string[] parts = name.Split('.');
        int layer = Array.FindIndex(parts, part => int.TryParse(part, out _));
        return layer < 0 ? name : string.Join('.', parts[..(layer + 1)]);
    }

    static DenseWeight Masked(Weight weight, bool[] keep)
    {
        float[] numbers = weight.ToDense();
        for (int i = 0; i < numbers.Length; i++)
            if (!keep[i])
                numbers[i] = 0;
        return new DenseWeight(Tensor.From(weight.Shape, numbers));
    }
}

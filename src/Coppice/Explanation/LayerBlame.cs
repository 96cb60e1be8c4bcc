using System.Collections.Immutable;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Explanation;

/// <summary>How finely the damage is located.</summary>
public enum BlameDetail
{
    /// <summary>Embedding, blocks and head.</summary>
    Stages,

    /// <summary>Each matrix of each block too.</summary>
    Matrices,
}

/// <summary>Transplants one part at a time between the base and the compressed model and measures the KL that goes or comes.</summary>
/// <remarks>A matrix alone makes sense where no scale moved between matrices; else read the stages.</remarks>
public sealed record LayerBlame
{
    /// <summary>Whole windows are taken until they hold this many tokens.</summary>
    public int MaxTokens { get; init; } = 2048;

    /// <summary>How finely to look.</summary>
    public BlameDetail Detail { get; init; } = BlameDetail.Matrices;

    /// <summary>Needs two windows or more, of token ids of running text. Weights are swapped meanwhile, so nothing else may use the models.</summary>
    public BlameResult Measure(Model baseModel, Model compressed, WorkerPool pool, IReadOnlyList<ReadOnlyMemory<int>> windows, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        CheckAlike(baseModel, compressed);
        List<ReadOnlyMemory<int>> taken = Take(windows);
        int stages = baseModel.Blocks.Count + 2;
        List<BlamePart> parts = [.. Enumerable.Range(0, stages).Select(stage => new BlamePart(baseModel, compressed, stage, null))];
        if (Detail == BlameDetail.Matrices)
            for (int block = 0; block < baseModel.Blocks.Count; block++)
                parts.AddRange(BlamePart.MatrixNames(baseModel.Blocks[block]).Select(name => new BlamePart(baseModel, compressed, block + 1, name)));

        double[] counts = [.. taken.Select(window => (double)window.Length)];
        double[] whole = new double[taken.Count];
        double[][] removed = Table(), added = Table();
        StageRunner fromCompressed = new(compressed, pool), fromBase = new(baseModel, pool);
        for (int w = 0; w < taken.Count; w++)
        {
            float[] target = fromBase.Start(taken[w]).ToArray();
            whole[w] = Kl(fromCompressed.Start(taken[w]));
            for (int p = 0; p < parts.Count; p++)
            {
                cancel.ThrowIfCancellationRequested();
                removed[p][w] = whole[w] - Kl(fromCompressed.With(parts[p].FromBase));
                added[p][w] = Kl(fromBase.With(parts[p].FromCompressed));
                progress?.Report((w + (p + 1.0) / parts.Count) / taken.Count);
            }

            double Kl(ReadOnlySpan<float> logits) => KlRows.Sum(pool, target, logits, baseModel.VocabularySize);
        }

        ImmutableArray<Blame> blames = [.. parts.Select((part, p) => part.Blame(Statistics.Ratio(removed[p], counts), Statistics.Ratio(added[p], counts)))];
        return new BlameResult
        {
            Kl = Statistics.Ratio(whole, counts),
            Stages = blames[..stages],
            Matrices = blames[stages..],
            Windows = taken.Count,
            Tokens = (int)counts.Sum(),
        };

        double[][] Table() => [.. parts.Select(_ => new double[taken.Count])];
    }

    List<ReadOnlyMemory<int>> Take(IReadOnlyList<ReadOnlyMemory<int>> windows)
    {
        List<ReadOnlyMemory<int>> taken = [];
        int tokens = 0;
        foreach (ReadOnlyMemory<int> window in windows)
        {
            if (taken.Count >= 2 && tokens + window.Length > MaxTokens)
                break;
            taken.Add(window);
            tokens += window.Length;
        }
        return taken.Count >= 2 ? taken : throw new CoppiceException($"Layer blame: {taken.Count} windows of text, wanted two or more to know the error");
    }

    static void CheckAlike(Model left, Model right)
    {
        if (left.Blocks.Count != right.Blocks.Count || left.Width != right.Width || left.VocabularySize != right.VocabularySize)
            throw new CoppiceException(
                $"Layer blame: {left.Blocks.Count} blocks of width {left.Width} with {left.VocabularySize} ids against " +
                $"{right.Blocks.Count} of width {right.Width} with {right.VocabularySize}, wanted the same shape");
    }
}

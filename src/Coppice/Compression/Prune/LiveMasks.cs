using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Prune;

/// <summary>
/// Masks over one model while it serves: several, each learnt on a task's text or revised from what the model reads, of which one holds at a time. To switch is to put other matrices in place, between two tokens, and
/// touches neither caches nor texts. Scores are Wanda's. The whole model stays in memory, and each mask beside it as a bit and the kept halves. Not thread-safe: switch and revise where nothing computes.
/// </summary>
public sealed class LiveMasks
{
    readonly WorkerPool pool;
    readonly double sparsity;
    readonly SparsityPattern? pattern;
    readonly Model model;
    readonly List<(string Name, Linear Layer, Weight Whole)> matrices;
    readonly Dictionary<string, Weight[]> masks = new(StringComparer.Ordinal);
    readonly Dictionary<Linear, InputStatistics> seen = [];

    /// <summary>Masks over the matrices of the model's blocks, but for what chooses experts.</summary>
    /// <param name="model">Of plain numbers, in memory.</param>
    /// <param name="pool">Threads that make masks.</param>
    /// <param name="sparsity">The share of each row that goes, above 0 and below 1.</param>
    /// <param name="pattern">N:M, which then decides the share; or null.</param>
    /// <exception cref="CoppiceException">A matrix is packed, or does not fit the pattern.</exception>
    public LiveMasks(Model model, WorkerPool pool, double sparsity = 0.5, SparsityPattern? pattern = null)
    {
        if (sparsity is not (> 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(sparsity), $"LiveMasks: a sparsity of {sparsity}, wanted above 0 and below 1");
        (this.model, this.pool, this.sparsity, this.pattern) = (model, pool, sparsity, pattern);
        matrices = [.. MatrixTargets.Of(model, [], "masks").Select(part => (part.Name, part.Layer, part.Layer.Weight))];
        foreach ((string name, _, Weight whole) in matrices)
        {
            if (whole is not (DenseWeight or HalfWeight))
                throw new CoppiceException($"{name} is stored as {whole.Kind}; masks are switched over plain numbers");
            if (Pruning.Refuses(pattern, whole.Columns) is { } reason)
                throw new CoppiceException($"{name} {whole.Shape}: {reason}");
        }
    }

    /// <summary>The masks that there are.</summary>
    public IReadOnlyCollection<string> Tasks => masks.Keys;

    /// <summary>The one that holds; null where the model is whole.</summary>
    public string? Current { get; private set; }

    /// <summary>Tokens that were observed since the last <see cref="Revise"/>.</summary>
    public long ObservedTokens => seen.GetValueOrDefault(matrices[0].Layer)?.Tokens ?? 0;

    /// <summary>Makes a task's mask, or makes it anew, from the inputs of the whole model on a text. The mask that holds goes on holding.</summary>
    /// <exception cref="CoppiceException">There is no text, or an activation is not finite.</exception>
    public void Learn(string task, IReadOnlyList<int[]> text, CancellationToken cancel = default)
    {
        if (text.Count == 0)
            throw new CoppiceException($"task '{task}': there is no text to learn a mask from");
        string? held = Current;
        Hold(null);
        try
        {
            Dictionary<string, float[]> norms = InputNorms.Gather(new WholeModel(model, [.. matrices.Select(matrix => (matrix.Name, (MatrixLayer)matrix.Layer))], [text], pool, cancel), text);
            masks[task] = [.. matrices.Select(matrix => Masked(matrix.Whole, norms[matrix.Name]))];
        }
        finally
        {
            Hold(held);
        }
    }

    /// <summary>Has a task's mask hold from the next token on; null makes the model whole.</summary>
    /// <exception cref="CoppiceException">There is no such mask.</exception>
    public void Switch(string? task)
    {
        if (task is not null && !masks.ContainsKey(task))
            throw new CoppiceException($"there is no mask '{task}'; {(masks.Count == 0 ? "none was learnt" : $"the nearest is '{NearestName.Of(task, masks.Keys)}'")}");
        Hold(task);
    }

    /// <summary>Adds what enters a product to what <see cref="Revise"/> goes by: for <see cref="ForwardContext.OnLinearInput"/> of whatever serves.</summary>
    public void Observe(Linear layer, Tensor x)
    {
        if (!seen.TryGetValue(layer, out InputStatistics? statistics))
            seen.Add(layer, statistics = new InputStatistics(x.Shape.Columns, Statistics.ColumnNorms));
        statistics.Add(pool, x.Data);
    }

    /// <summary>Makes a task's mask anew from what was observed, and forgets that. A matrix that nothing entered keeps the mask it had, or by default its largest numbers.</summary>
    /// <exception cref="CoppiceException">Nothing was observed.</exception>
    public void Revise(string task)
    {
        if (ObservedTokens == 0)
            throw new CoppiceException($"task '{task}': no token was observed since the last revision");
        Weight[]? earlier = masks.GetValueOrDefault(task);
        masks[task] = [.. matrices.Select((matrix, i) => seen.TryGetValue(matrix.Layer, out InputStatistics? statistics)
            ? Masked(matrix.Whole, [.. Enumerable.Range(0, statistics.Columns).Select(column => (float)Math.Sqrt(statistics.MeanSquare(column)))])
            : earlier?[i] ?? Masked(matrix.Whole, [.. Enumerable.Repeat(1f, matrix.Whole.Columns)]))];
        seen.Clear();
        if (Current == task)
            Hold(task);
    }

    void Hold(string? task)
    {
        Weight[]? held = task is null ? null : masks[task];
        for (int i = 0; i < matrices.Count; i++)
            matrices[i].Layer.Weight = held?[i] ?? matrices[i].Whole;
        Current = task;
    }

    Weight Masked(Weight whole, float[] norms)
    {
        float[] weights = whole.ToDense(), scores = new float[weights.Length];
        Wanda.Score(weights, norms, scores);
        bool[] keep = Pruning.Rows(pool, scores, whole.Columns, sparsity, pattern);
        for (int i = 0; i < weights.Length; i++)
            if (!keep[i])
                weights[i] = 0;
        return pattern == Packing.TwoOfFour ? TwoFourWeight.From(whole.Rows, whole.Columns, weights) : SparseWeight.From(whole.Rows, whole.Columns, weights);
    }
}

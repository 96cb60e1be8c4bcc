using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Inference;

/// <summary>How a translation is searched for.</summary>
public sealed record TranslationOptions
{
    /// <summary>Translations that are kept at each step; 1 takes the likeliest token each time.</summary>
    public int Beams { get; init; } = 6;

    /// <summary>The most tokens.</summary>
    public int MaxTokens { get; init; } = 512;

    /// <summary>Translations compare by the logarithm of their probability over their length to this power (Wu et al. 2016, without its constants).</summary>
    public double LengthPenalty { get; init; } = 1;
}

/// <summary>A translation and what its search said of it.</summary>
/// <param name="Ids">Its tokens, the end token left out.</param>
/// <param name="LogProbability">The logarithm of its probability, the end token's included where it came to it.</param>
public sealed record Translation(int[] Ids, double LogProbability);

/// <summary>Searches a <see cref="TranslationModel"/>'s translations with a beam. Each candidate has a key-value cache, so that a step reads one token of each; caches are kept for the next text. Not thread-safe.</summary>
/// <param name="model">The model.</param>
/// <param name="pool">Threads.</param>
/// <param name="cache">How keys and values are kept.</param>
/// <param name="activations">What integer matrices round their inputs to.</param>
public sealed class Translator(TranslationModel model, WorkerPool pool, KeyValueFormat cache = KeyValueFormat.Float16, ActivationFormat activations = ActivationFormat.Int8)
{
    readonly ForwardContext context = new(pool) { Activations = activations };
    readonly Batch batch = new();
    readonly List<KvCache> caches = [];

    /// <summary>Translates a source text's ids; the end token is added where it is missing.</summary>
    /// <exception cref="CoppiceException">The source is longer than the model's context, or a logit is not finite.</exception>
    public Translation Translate(ReadOnlySpan<int> source, TranslationOptions? options = null, CancellationToken cancel = default)
    {
        options ??= new TranslationOptions();
        TranslationConfig config = model.Config;
        int most = Math.Min(options.MaxTokens, model.ContextLength - 1);
        if (options.Beams < 1 || most < 1)
            throw new ArgumentException($"Translator: {options.Beams} beams of at most {most} tokens");
        int[] ids = source is [.., var last] && last == config.EndId ? source.ToArray() : [.. source, config.EndId];
        context.Reset();
        EncodedSource encoded = model.Encode(new Batch(ids), context);

        List<Candidate> live = [new([config.StartId], 0, Cache(0))], finished = [];
        live[0].Cache!.Truncate(0);
        for (int length = 1; length <= most && live.Count > 0 && finished.Count < options.Beams; length++)
        {
            cancel.ThrowIfCancellationRequested();
            Continuation[] best = [.. Continuations(live, encoded, options.Beams).OrderByDescending(next => next.LogProbability).Take(options.Beams)];
            List<Continuation> growing = [];
            foreach (Continuation next in best)
                if (next.Id == config.EndId || length == most)
                    finished.Add(new Candidate([.. next.Parent.Ids, next.Id], next.LogProbability, null));
                else
                    growing.Add(next);
            live = Grown(growing);
        }
        Candidate found = finished.Concat(live).MaxBy(candidate => candidate.LogProbability / Math.Pow(candidate.Ids.Length - 1, options.LengthPenalty))!;
        return new Translation([.. found.Ids.Skip(1).TakeWhile(id => id != config.EndId)], found.LogProbability);
    }

    // The first that goes on from a candidate goes on with its cache; others take free ones and copy it.
    List<Candidate> Grown(List<Continuation> growing)
    {
        HashSet<KvCache> used = [.. growing.Select(next => next.Parent.Cache!)], taken = [];
        List<Candidate> grown = [];
        int free = 0;
        foreach (Continuation next in growing)
        {
            KvCache mine = next.Parent.Cache!;
            if (!taken.Add(mine))
            {
                while (used.Contains(Cache(free)))
                    free++;
                (mine = Cache(free++)).CopyFrom(next.Parent.Cache!);
            }
            grown.Add(new Candidate([.. next.Parent.Ids, next.Id], next.LogProbability, mine));
        }
        return grown;
    }

    KvCache Cache(int index)
    {
        if (index == caches.Count)
            caches.Add(new KvCache(model, model.ContextLength, cache));
        return caches[index];
    }

    // Every live candidate with its likeliest tokens, as many as there are beams: no other can be among the best of all.
    List<Continuation> Continuations(List<Candidate> live, EncodedSource encoded, int beams)
    {
        batch.Clear();
        foreach (Candidate candidate in live)
            batch.Add(candidate.Ids.AsSpan(^1), candidate.Cache!);
        batch.Source = encoded.Repeated(live.Count);
        context.Reset();
        Tensor logits = model.ForwardLast(batch, context);
        List<Continuation> all = [];
        List<int> likeliest = [];
        for (int i = 0; i < live.Count; i++)
        {
            Span<float> row = logits.Rows(new Sequence(i, 1));
            // What pads a batch is never a translation's.
            if (model.Config.PaddingId != model.Config.EndId)
                row[model.Config.PaddingId] = float.NegativeInfinity;
            double logSum = LogSum(row);
            Likeliest(row, beams, likeliest);
            foreach (int id in likeliest)
                all.Add(new Continuation(live[i], id, live[i].LogProbability + row[id] - logSum));
        }
        return all;
    }

    // log of the sum of e^logit.
    static double LogSum(ReadOnlySpan<float> row)
    {
        float most = TensorPrimitives.Max(row);
        double sum = 0;
        foreach (float logit in row)
            sum += Math.Exp(logit - most);
        double logSum = most + Math.Log(sum);
        return double.IsFinite(logSum) ? logSum : throw new CoppiceException("a translation's logits are not finite; the weights hold NaN or overflow");
    }

    // The ids of the largest logits, largest first and of equal ones the smaller id; none that cannot be.
    static void Likeliest(ReadOnlySpan<float> row, int count, List<int> ids)
    {
        ids.Clear();
        for (int id = 0; id < row.Length; id++)
        {
            if (float.IsNegativeInfinity(row[id]) || ids.Count == count && row[id] <= row[ids[^1]])
                continue;
            int at = ids.Count;
            while (at > 0 && row[id] > row[ids[at - 1]])
                at--;
            ids.Insert(at, id);
            if (ids.Count > count)
                ids.RemoveAt(count);
        }
    }

    // A cache holds all tokens but the last; what has ended needs none.
    sealed record Candidate(int[] Ids, double LogProbability, KvCache? Cache);

    readonly record struct Continuation(Candidate Parent, int Id, double LogProbability);
}

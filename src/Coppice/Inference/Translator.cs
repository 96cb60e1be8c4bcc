using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
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

/// <summary>Searches a <see cref="TranslationModel"/>'s translations with a beam.</summary>
public sealed class Translator(TranslationModel model, WorkerPool pool)
{
    readonly ForwardContext context = new(pool);

    /// <summary>Translates a source text's ids; the end token is added where it is missing.</summary>
    /// <exception cref="CoppiceException">The source is longer than the model's context.</exception>
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

        List<Candidate> live = [new([config.StartId], 0)], finished = [];
        for (int length = 1; length <= most && live.Count > 0 && finished.Count < options.Beams; length++)
        {
            cancel.ThrowIfCancellationRequested();
            List<Candidate> next = [.. Continued(live, encoded, options.Beams).OrderByDescending(candidate => candidate.LogProbability).Take(options.Beams)];
            finished.AddRange(next.Where(candidate => candidate.Ids[^1] == config.EndId || length == most));
            live = [.. next.Where(candidate => candidate.Ids[^1] != config.EndId && length < most)];
        }
        Candidate best = finished.Concat(live).MaxBy(candidate => candidate.LogProbability / Math.Pow(candidate.Ids.Length - 1, options.LengthPenalty))!;
        return new Translation([.. best.Ids.Skip(1).TakeWhile(id => id != config.EndId)], best.LogProbability);
    }

    // Every live candidate with its likeliest tokens, as many as there are beams: no other can be among the best of all.
    IEnumerable<Candidate> Continued(List<Candidate> live, EncodedSource encoded, int beams)
    {
        Batch batch = new();
        foreach (Candidate candidate in live)
            batch.Add(candidate.Ids);
        batch.Source = encoded.Repeated(live.Count);
        context.Reset();
        Tensor logits = model.ForwardLast(batch, context);
        List<Candidate> all = [];
        for (int i = 0; i < live.Count; i++)
        {
            float[] row = logits.Data.Slice(i * model.VocabularySize, model.VocabularySize).ToArray();
            // What pads a batch is never a translation's.
            if (model.Config.PaddingId != model.Config.EndId)
                row[model.Config.PaddingId] = float.NegativeInfinity;
            double max = TensorPrimitives.Max<float>(row), logSum = max + Math.Log(row.Sum(logit => Math.Exp(logit - max)));
            if (!double.IsFinite(logSum))
                throw new CoppiceException("a translation's logits are not finite; the weights hold NaN or overflow");
            foreach (int id in Enumerable.Range(0, row.Length).Where(id => !float.IsNegativeInfinity(row[id])).OrderByDescending(id => row[id]).ThenBy(id => id).Take(beams))
                all.Add(new Candidate([.. live[i].Ids, id], live[i].LogProbability + row[id] - logSum));
        }
        return all;
    }

    sealed record Candidate(int[] Ids, double LogProbability);
}

using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>A little text with what a base model says of it, to measure many variants against: all logits are kept, 4 bytes a token and word.</summary>
sealed class KlSlice
{
    readonly List<(int[] Tokens, float[] Logits)> texts = [];
    readonly ForwardContext context;
    readonly int vocabulary;

    /// <summary>The first <paramref name="tokens"/> tokens of some sequences in the model as it is now.</summary>
    public KlSlice(Model model, IEnumerable<int[]> sequences, int tokens, WorkerPool pool)
    {
        (context, vocabulary) = (new ForwardContext(pool), model.VocabularySize);
        foreach (int[] sequence in sequences)
        {
            if (tokens <= 0)
                break;
            int[] text = sequence[..Math.Min(tokens, sequence.Length)];
            texts.Add((text, Logits(model, text)));
            tokens -= text.Length;
        }
    }

    /// <summary>The mean KL divergence from the base, nats a token, and its standard error over sequences (NaN of one).</summary>
    public Estimate Of(Model model, CancellationToken cancel = default)
    {
        double[] sums = new double[texts.Count];
        double[] one = new double[vocabulary], other = new double[vocabulary];
        for (int i = 0; i < sums.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            (int[] tokens, float[] wanted) = texts[i];
            float[] found = Logits(model, tokens);
            for (int row = 0; row < wanted.Length; row += vocabulary)
                sums[i] += KlDivergence.Of(wanted.AsSpan(row, vocabulary), found.AsSpan(row, vocabulary), one, other);
        }
        return Coppice.Evaluation.Statistics.Ratio(sums, [.. texts.Select(text => (double)text.Tokens.Length)]);
    }

    float[] Logits(Model model, int[] sequence)
    {
        Batch batch = new();
        batch.Add(sequence);
        float[] logits = model.Forward(batch, context).Data.ToArray();
        context.Reset();
        return logits;
    }
}
